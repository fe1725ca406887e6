"""Calls that come within a few milliseconds become one, as a network answers many inputs in little more time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from seqzoo.contracts.errors import SeqzooError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class BusyError(Exception):
    """Too many items wait already."""


@dataclass(eq=False)
class _Call(Generic[Item, Answer]):
    items: Sequence[Item]
    answer: asyncio.Future[list[Answer]]
    time: float


class JointCalls(Generic[Item, Answer]):
    """Joins the items of concurrent calls.

    Args:
        answer: answers items, one answer each; called in a thread.
        executor: of that thread.
        most: maximum number of items of a call of `answer`, unless a single caller gives more.
        waiting: maximum number of items that wait.
        delay: seconds for which the first item waits for others.
        report: called with the number of items of each call of `answer`.
    """

    def __init__(
        self,
        answer: Callable[[list[Item]], list[Answer]],
        executor: Executor,
        most: int = 64,
        waiting: int = 1024,
        delay: float = 0.005,
        report: Callable[[int], None] = lambda number: None,
    ):
        self._answer, self._executor, self._report = answer, executor, report
        self._most, self._most_waiting, self._delay = most, waiting, delay
        self._calls: deque[_Call[Item, Answer]] = deque()
        self._worker: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """The number of items that wait."""
        return sum(len(call.items) for call in self._calls)

    async def __call__(self, items: Sequence[Item]) -> list[Answer]:
        """The answers to items.

        Raises:
            BusyError: too many items wait already.
            SeqzooError: an item of this call cannot be answered.
        """
        if self.waiting + len(items) > self._most_waiting:
            raise BusyError
        call = _Call(items, asyncio.get_running_loop().create_future(), time.monotonic())
        self._calls.append(call)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await call.answer

    async def _work(self) -> None:
        """Answer calls until none waits."""
        while self._calls:
            if self.waiting < self._most:
                await asyncio.sleep(self._calls[0].time + self._delay - time.monotonic())
            calls = self._next()
            if not calls:
                continue
            results = await asyncio.get_running_loop().run_in_executor(self._executor, self._answers, calls)
            for call, result in zip(calls, results, strict=True):
                with contextlib.suppress(asyncio.InvalidStateError):  # its caller has gone
                    if isinstance(result, BaseException):
                        call.answer.set_exception(result)
                    else:
                        call.answer.set_result(result)

    def _next(self) -> list[_Call[Item, Answer]]:
        """The calls that are answered together. Those whose callers have gone are left out."""
        calls: list[_Call[Item, Answer]] = []
        while self._calls:
            if calls and sum(len(call.items) for call in calls) + len(self._calls[0].items) > self._most:
                break
            call = self._calls.popleft()
            if not call.answer.done():
                calls.append(call)
        return calls

    def _answers(self, calls: list[_Call[Item, Answer]]) -> list[list[Answer] | BaseException]:
        """The answers to each call, or why there are none."""
        items = [item for call in calls for item in call.items]
        try:
            answers = iter(self._answer(items))
            self._report(len(items))
            return [[next(answers) for _ in call.items] for call in calls]
        except SeqzooError as error:
            # one bad input must not fail the others
            return [error] if len(calls) == 1 else [each for call in calls for each in self._answers([call])]
        except Exception as error:
            return [error for _ in calls]
