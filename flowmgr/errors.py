"""The errors that flowmgr raises, by whose fault it is.

FlowmgrError
├── InputError                      the caller's: what was given is not acceptable
│   ├── DocumentError               not JSON, or JSON that cannot be read exactly
│   ├── DefinitionError             a flow definition with problems, all of them listed
│   ├── FlowSetError                flows that were given together, some of them with problems
│   ├── ContextError                a context that is too large, too deep or not an object
│   ├── MetadataError               metadata that is too much or not plain
│   ├── SubflowDepthError           flows that run flows that run flows, without an end
│   ├── SignalError                 a signal that no task waits for, or with another value
│   └── ActivityDeclarationError    a function that cannot be an activity
├── NotFoundError                   the caller's: nothing has this id
│   ├── FlowNotFoundError
│   └── ExecutionNotFoundError
├── ConflictError                   the caller's: not in this state
│   ├── ExecutionStateError         what is asked for needs another status
│   │   └── ExecutionEndedError     it has ended
│   ├── ExecutionDamagedError       its record in the journal is not what was written
│   ├── FlowDamagedError            a version of a flow is not what was registered
│   ├── KeyDamagedError             what was started with an idempotency key is not known any more
│   ├── KeyReusedError              its idempotency key belongs to another request
│   └── FlowExistsError
├── EngineClosedError               nobody's: the engine is stopping, or has stopped
├── EngineBusyError                 nobody's: as much is live as may be
├── JournalError                    the storage's
│   ├── JournalUnavailableError     it cannot record anything now (the disk is full)
│   └── JournalRefusedError         it cannot be opened: in use, damaged, newer, behind
└── InternalError                   ours: a bug

A task whose activity raises is not an error of flowmgr: it is a failure, recorded with its type and
message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from actors.ports import LostError

MAX_SHOWN = 128
"""Characters of an id that an error repeats."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a document, or worth a warning.

    Attributes:
        pointer: where, as a JSON Pointer (RFC 6901) into the document as it was sent.
        code: which rule, as a word that programs can rely on.
        message: what is wrong, in a sentence that names the thing.
        hint: the way out, if there is one to name.
    """

    pointer: str
    code: str
    message: str
    hint: str | None = None


class Told(Protocol):
    """What is a problem of anything: it has a sentence."""

    @property
    def message(self) -> str:
        """What is wrong."""


def told(problems: Sequence[Told]) -> str:
    """Return the first of *problems* in a sentence, and how many more there are."""
    more = len(problems) - 1
    rest = f" (and {more} more problem{'s'[: more != 1]})" if more else ""
    return f"{problems[0].message}{rest}"


class FlowmgrError(Exception):
    """What all errors of flowmgr have in common."""


class InputError(FlowmgrError):
    """What was given is not acceptable.

    Attributes:
        problems: what is wrong with it, place by place.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class DocumentError(InputError):
    """The text is not JSON, or cannot be read exactly (duplicate keys, NaN, too deep)."""


class DefinitionError(InputError):
    """A flow definition has problems.

    Attributes:
        warnings: what else is worth a look in it, as far as that can be told.
    """

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        super().__init__(told(problems), problems)
        self.warnings = tuple(warnings)


class FlowSetError(InputError):
    """Some of the flows that were given together cannot be registered.

    Attributes:
        refused: the errors of those by their positions in what was given.
    """

    def __init__(self, refused: Mapping[int, DefinitionError], given: int) -> None:
        first = refused[min(refused)]
        super().__init__(f"{len(refused)} of {given} flows have problems, the first: {first}")
        self.refused = refused


class ContextError(InputError):
    """The context given to an execution is not acceptable."""


class MetadataError(InputError):
    """The metadata given to an execution is not acceptable."""


class SubflowDepthError(InputError):
    """An execution is inside of as many others as it may be, and starts no further one inside."""


class SignalError(InputError):
    """No task waits for such a signal, or none takes its value; the places are in the value."""


class ActivityDeclarationError(InputError):
    """A function cannot be an activity, or two activities have one name."""


class NotFoundError(FlowmgrError):
    """Nothing has this id."""


class FlowNotFoundError(NotFoundError):
    """No flow has this id, or it has no such version."""

    def __init__(self, flow_id: str, version: int | None = None) -> None:
        which = "was not found" if version is None else f"or its version {version} was not found"
        super().__init__(f"Flow '{_shown(flow_id)}' {which}")
        self.flow_id = flow_id
        self.version = version


class ExecutionNotFoundError(NotFoundError, LostError):
    """No execution has this id."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(f"Execution '{_shown(execution_id)}' was not found")
        self.execution_id = execution_id


def _shown(name: str) -> str:
    # No id is longer than 128 characters, so a longer one need not be repeated whole.
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..."


class ConflictError(FlowmgrError):
    """The thing is there, but not in a state that allows this."""


class ExecutionStateError(ConflictError):
    """The execution's status does not allow this; the message says which ones do."""


class ExecutionEndedError(ExecutionStateError):
    """The execution has ended, so this can no longer be done to it."""


class ExecutionDamagedError(ConflictError, LostError):
    """What the journal has of an execution is not what was written: it is quarantined.

    Attributes:
        execution_id: the execution.
    """

    def __init__(self, execution_id: str, reason: str) -> None:
        super().__init__(
            f"Execution '{_shown(execution_id)}' is quarantined: {reason}. "
            "Restore the database from a backup, or delete the execution"
        )
        self.execution_id = execution_id
        self.reason = reason


class FlowDamagedError(ConflictError):
    """What the journal has of a version of a flow is not what was registered."""


class KeyDamagedError(ConflictError):
    """What the journal has of an idempotency key is not what was written."""


class KeyReusedError(ConflictError):
    """The idempotency key has been used for another request."""


class FlowExistsError(ConflictError):
    """A flow has this id already, and the caller asked for a new one."""


class EngineClosedError(FlowmgrError):
    """The engine is stopping or has stopped: it takes no new work."""


class EngineBusyError(FlowmgrError):
    """As many executions are live as may be; there is room again when some have ended."""


class JournalError(FlowmgrError):
    """The journal could not record or read back what it should."""


class JournalUnavailableError(JournalError):
    """The journal cannot record anything at the moment; it tries again by itself."""


class JournalRefusedError(JournalError):
    """The journal cannot be opened as it is; the message says why, and the way out."""


class InternalError(FlowmgrError):
    """A bug in flowmgr."""
