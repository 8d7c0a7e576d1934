"""Journals that do what a journal in memory never does."""

import anyio
import anyio.lowlevel

from flowmgr.journal.memory import MemoryJournal


class FailingJournal(MemoryJournal):
    """Refuses every batch from the n-th one on, by its answer or by raising."""

    def __init__(self, keep_ended, *, from_batch, is_raising=False):
        super().__init__(keep_ended)
        self.error = OSError("the disk is full")
        self._from_batch = from_batch
        self._is_raising = is_raising
        self._count = 0

    def append(self, batch, acknowledge):
        self._count += 1
        if self._count < self._from_batch:
            super().append(batch, acknowledge)
        elif self._is_raising:
            raise self.error
        else:
            acknowledge(self.error)


class HeldJournal(MemoryJournal):
    """Keeps batches, but acknowledges them only when it is told to."""

    def __init__(self, keep_ended):
        super().__init__(keep_ended)
        self.is_holding = True
        self.held = []

    def append(self, batch, acknowledge):
        if self.is_holding:
            self.held.append((batch, acknowledge))
        else:
            super().append(batch, acknowledge)

    def acknowledge_next(self, error=None):
        batch, acknowledge = self.held.pop(0)
        if error is None:
            super().append(batch, acknowledge)
        else:
            acknowledge(error)

    def let_go(self):
        self.is_holding = False
        while self.held:
            self.acknowledge_next()


class LateJournal(MemoryJournal):
    """Acknowledges from a task of its own, some checkpoints after the batch was appended."""

    def __init__(self, keep_ended, checkpoints=1):
        super().__init__(keep_ended)
        self._checkpoints = checkpoints
        self._sender, self._receiver = anyio.create_memory_object_stream(1_000_000)

    def append(self, batch, acknowledge):
        self._sender.send_nowait((batch, acknowledge))

    async def write(self):
        """Write and acknowledge, for ever; the body of a task."""
        with self._sender, self._receiver:
            async for batch, acknowledge in self._receiver:
                for _ in range(self._checkpoints):
                    await anyio.lowlevel.checkpoint()
                super().append(batch, acknowledge)
