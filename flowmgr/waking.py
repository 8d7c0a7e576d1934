"""Has executions look at what is due by now; those that are parked are taken up for that."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio

from actors.messages import WakeUp
from flowmgr.errors import EngineClosedError, JournalError
from flowmgr.live import LiveExecutions
from flowmgr.recovery import RETRY_SECONDS, Recovery
from flowmgr.triage import in_groups

logger = logging.getLogger(__name__)


class Waker:
    """What the engine's timers call, and the task that takes up suspects."""

    def __init__(self, live: LiveExecutions, recovery: Recovery) -> None:
        self._live = live
        self._recovery = recovery
        self._due_suspects: dict[str, int] = {}  # in the order of their instants; see `in_groups`
        self._suspect_came = anyio.Event()

    async def wake(self, execution_ids: Sequence[str]) -> None:
        """Have executions look at what is due; those that are parked are taken up first.

        That takes a few queries for all of them. What ended the engine before, when it was taken
        up, is left to `wake_suspects`. A journal that fails is asked again. Cancelling this leaves
        the rest parked, for the next start.
        """
        await _insist(partial(self._wake, execution_ids))

    async def wake_suspects(self) -> None:
        """Take up those apart that are due and may end the engine, for ever; the body of a task.

        It is one group at a time, so that it is known which one it is if the engine ends again. As
        each has its probation, nobody else waits for that. Cancelling this leaves the rest parked.
        """
        while True:
            if not self._due_suspects:
                self._suspect_came = anyio.Event()
                await self._suspect_came.wait()
            group = in_groups(self._due_suspects)[0]
            for execution_id in group:  # before, as it may become due again meanwhile
                del self._due_suspects[execution_id]
            await _insist(partial(self._wake_apart, group))

    async def _wake(self, execution_ids: Sequence[str]) -> None:
        recovery, live = self._recovery, self._live
        asleep = [each for each in execution_ids if not recovery.is_taken(each)]
        paused = [each for each in asleep if each in recovery.paused]
        parked = [each for each in asleep if each not in recovery.paused]
        taken = [each for each in execution_ids if recovery.is_taken(each)]
        loading = [each for each in taken if live.get(each) is None]
        # With their counts now: one of them may be forgiven while this takes up the others.
        suspects = {each: recovery.suspects[each] for each in parked if each in recovery.suspects}
        if len(parked) > len(suspects):
            ordinary = [each for each in parked if each not in suspects]
            await recovery.take_up(ordinary, only_parked=True)
            self._tell(ordinary)
        await recovery.take_up_paused(paused)
        await recovery.loaded(loading)
        self._tell(taken)
        if suspects:  # after the others: one that ends the engine has not kept them asleep
            self._due_suspects.update(suspects)
            self._suspect_came.set()
        # Whoever was about to take these up has failed, or has left; their timers are used up.
        left = [each for each in loading if live.get(each) is None]
        if left:
            await self._wake(left)

    async def _wake_apart(self, group: Sequence[str]) -> None:
        recovery = self._recovery
        await recovery.loaded(group)
        asleep = [each for each in group if not recovery.is_taken(each)]
        if asleep:
            await recovery.take_up(asleep, only_parked=True)
            self._tell(asleep)
            await _insist(partial(recovery.watch_over, asleep))  # by itself: they are awake
        for execution_id in group:
            recovery.suspects.pop(execution_id, None)

    def _tell(self, execution_ids: Sequence[str]) -> None:
        for execution_id in execution_ids:
            supervisor = self._live.get(execution_id)
            if supervisor is not None:
                supervisor.send(WakeUp())


async def _insist(wake: Callable[[], Awaitable[None]]) -> None:
    """Wake what is due; again after a pause if the journal fails, and not if the engine stops."""
    while True:
        try:
            await wake()
        except EngineClosedError:
            return
        except JournalError:
            logger.exception("waiting executions are looked at again in %s s", RETRY_SECONDS)
            await anyio.sleep(RETRY_SECONDS)
        except Exception:
            logger.exception("a bug in flowmgr: executions were not woken, until the next start")
            return
        else:
            return
