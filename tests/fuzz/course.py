"""The course of a story: what is done at each end, and what the model says of it."""

from tests.fuzz.again import RefusedError, retried, run_again
from tests.fuzz.comparing import differences, seen
from tests.fuzz.invariants import not_as_asked
from tests.fuzz.model import Model
from tests.fuzz.scopes import NEVER, AmbiguousError


class Course:
    """Compares what the engine has made of a story, for as long as the model is certain.

    Attributes:
        is_certain: whether it is of all that was done up to the first end.
        has_no_end: whether something is waited for that never comes.
    """

    def __init__(self, story):
        self._story = story
        self._model = Model.of(story)
        self._expected = self._run(lambda: self._model.execute(0.0))
        self.is_certain = self._expected is not None
        self.has_no_end = self.is_certain and self._expected.ended_at == NEVER

    def problems(self, found):
        """What is wrong about what was found at each end, in sentences."""
        acts = [None, *self._story["then"]]
        problems = []
        for number, (act, family) in enumerate(zip(acts, found, strict=False)):
            said = self._compared(act, family) if family.has_ended else []
            problems += [
                f"{problem}; at end {number + 1}" if number else problem
                for problem in family.problems + said
            ]
        return problems

    def _compared(self, act, family):
        problems, is_refused = [], isinstance(family.asked, Exception)
        if act is not None and act["do"] == "rerun" and not is_refused:
            problems = not_as_asked(family.first.events, *family.asked)
        if act is not None and self._expected is not None:
            try:
                self._expected = self._run(lambda: self._follow(act, family.asked))
            except RefusedError:
                return problems if is_refused else [*problems, f"{act['do']} was not refused"]
            if is_refused and self._expected is not None:
                return [f"{act['do']} was refused: {family.asked}"]
        if self._expected is not None and not is_refused:
            problems = problems + differences(seen(family), self._expected)
        return problems

    def _follow(self, act, asked):
        if act["do"] == "retry":
            self._model = retried(self._model, act)
        elif act["do"] == "skip" or isinstance(asked, Exception):
            raise AmbiguousError("nobody knows what was asked for")
        else:
            self._model = run_again(self._model, act, *asked)

    def _run(self, run):
        try:
            run()
            return self._model.ending()
        except AmbiguousError:
            return None
