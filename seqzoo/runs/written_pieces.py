"""The pieces of an answer while a thread writes it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor

from seqzoo.contracts.batch import Prediction
from seqzoo.runs.loaded import Loaded


class _ReaderGoneError(Exception):
    """The client has disconnected, or the time limit has passed."""


class WrittenPieces:
    """An asynchronous iterator over the pieces of an answer, and at its end the whole prediction.

    Args:
        run: of a task that writes token by token.
        text: what is answered.
        executor: of the thread.
        seconds: the limit of the answer.
        ended: called when the thread has ended.
    """

    def __init__(self, run: Loaded, text: str, executor: Executor, seconds: float, ended: Callable[[], None]):
        self._run, self._text, self._executor, self._ended = run, text, executor, ended
        self._end = time.monotonic() + seconds
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._gone = threading.Event()
        self._first: str | None = None

    async def begin(self) -> None:
        """Wait for the first piece.

        Raises:
            DataError: the text cannot be answered.
        """
        self._loop = asyncio.get_running_loop()
        self._written = self._loop.run_in_executor(self._executor, self._write)
        self._written.add_done_callback(self._finish)
        try:
            self._first = await self._pieces.get()
            if self._first is None:
                await self._written
        except BaseException:
            self._gone.set()
            raise

    def _finish(self, written: asyncio.Future[Prediction]) -> None:
        self._ended()
        self._pieces.put_nowait(None)
        if not written.cancelled():
            written.exception()  # nobody may ask for it

    def _write(self) -> Prediction:
        return self._run.generate(self._text, self._pass_on)

    def _pass_on(self, piece: str) -> None:
        if self._gone.is_set() or time.monotonic() > self._end:
            raise _ReaderGoneError
        if piece:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    async def __aiter__(self) -> AsyncIterator[str | Prediction]:
        piece = self._first
        try:
            while piece is not None:
                yield piece
                piece = await asyncio.wait_for(self._pieces.get(), self._end - time.monotonic())
            try:
                yield await self._written
            except _ReaderGoneError:
                raise asyncio.TimeoutError("the time is over: ask for a shorter answer") from None
        finally:
            self._gone.set()
