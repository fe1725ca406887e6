"""Text that is read once, in the order in which it arrives: a file that may grow, or standard input."""

from __future__ import annotations

import codecs
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, cast

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import Codec

BYTES = 2**12
WAIT = 0.2
"""Seconds between two looks for more text."""


class GrowingText:
    """The token ids of a text, in windows that overlap by one token: each token but the first is predicted once.

    What has been read but does not fill a window yet is part of `content`, so that the windows do not depend on when
    the reading was interrupted.

    Args:
        codec: whose vocabulary the text is read with. Lines are encoded when they are complete, characters at once.
        window: number of steps of a window.
        path: UTF-8 text; None: standard input.
        follow: wait for more text at the end of the file; standard input is always waited for.
    """

    def __init__(self, codec: Codec, window: int, path: Path | None, follow: bool = False):
        self.codec, self.window, self.path, self.follow = codec, window, path, follow
        self.whole_lines = getattr(codec, "name", "characters") != "characters"
        self.offset, self.rest = 0, ""
        self.ids: list[int] = []

    def windows(self, stopped: Callable[[], bool]) -> Iterator[list[int]]:
        """Read the text as it arrives.

        Args:
            stopped: whether to stop waiting for text.

        Yields:
            Ids of `window` + 1 tokens, each list from the last token of the one before it.

        Raises:
            DataError: the file cannot be read, or is shorter than what has been read of it.
        """
        for text in chain([""], self._pieces(stopped)):  # first what was read before, and not learned from
            self.rest += text
            end = self.rest.rfind("\n") + 1 if self.whole_lines else len(self.rest)
            complete, self.rest = self.rest[:end], self.rest[end:]
            self.ids += self.codec.encode(complete) if complete else []
            while len(self.ids) > self.window:
                ids, self.ids = self.ids[: self.window + 1], self.ids[self.window :]
                yield ids

    def _pieces(self, stopped: Callable[[], bool]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            file = cast(BufferedReader, sys.stdin.buffer if self.path is None else self.path.open("rb"))
            with nullcontext() if self.path is None else file:
                self._go_on(file)
                while not stopped():
                    if self.path is None and os.name != "nt" and not select.select([file], [], [], WAIT)[0]:
                        continue
                    read = file.read1(BYTES)
                    if not read and not self.follow:
                        return
                    if not read:
                        time.sleep(WAIT)
                        continue
                    text = decoder.decode(read)
                    if self.path is not None:  # bytes of an incomplete character are read again
                        self.offset = file.tell() - len(decoder.getstate()[0])
                    yield text
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path or 'standard input'} is not UTF-8 text: {error.reason}") from None

    def _go_on(self, file: BufferedReader) -> None:
        """Skip what has been read of a file."""
        if self.path is None:
            return
        if os.fstat(file.fileno()).st_size < self.offset:
            raise DataError(
                f"{self.path} has fewer than the {self.offset:,} bytes that have been read: give the file that "
                "grows, or another one"
            )
        file.seek(self.offset)

    def content(self) -> dict[str, Any]:
        """What a checkpoint needs to go on.

        Returns:
            Plain data, for `restore`.
        """
        return {"file": self._file, "offset": self.offset, "rest": self.rest, "ids": self.ids}

    def restore(self, content: dict[str, Any]) -> None:
        """From `content`; another file is read from its beginning.

        Args:
            content: perhaps of another program.

        Raises:
            ValueError, LookupError: it is not the content of such a text.
        """
        file, offset, rest, ids = (content[name] for name in ("file", "offset", "rest", "ids"))
        known = type(file) is str and type(offset) is int and type(rest) is str and type(ids) is list
        if not known or offset < 0 or not all(type(i) is int and 0 <= i < self.codec.size for i in ids):
            raise ValueError("the place in the stream is not one")
        self.offset, self.rest, self.ids = offset if file == self._file else 0, rest, ids

    @property
    def _file(self) -> str:
        return "" if self.path is None else str(self.path.resolve())
