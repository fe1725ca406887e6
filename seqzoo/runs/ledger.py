"""The status of each job of a sweep, so that the sweep can be resumed: one file per job, named after its configuration.

ledger/KEY.json holds an `Entry`. The process that runs a job holds a lock, which is released when it ends: an entry
with status "running" without a lock belongs to an interrupted job.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from seqzoo.contracts.locks import lock
from seqzoo.training.record.files import write_text

LEDGER = "ledger"


@dataclass
class Entry:
    """The status of a job.

    Args:
        status: of the job.
        folder: run directory, relative to that of the sweep.
        command: the command that runs only this job.
        reason: why it failed, in one line.
        details: the traceback of an unexpected error.
    """

    status: Literal["running", "done", "failed"]
    folder: str
    command: str
    reason: str = ""
    details: str = ""


class Ledger:
    """The status of the jobs of a sweep, by the keys of their configurations.

    Args:
        sweep: folder of the sweep.
    """

    def __init__(self, sweep: Path):
        self._folder = sweep / LEDGER

    def read(self, key: str) -> Entry | None:
        """The entry of a job; None if it was never started or its file is damaged."""
        try:
            return Entry(**json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def entries(self) -> list[Entry]:
        """The entries of all jobs that were started."""
        entries = (self.read(path.stem) for path in sorted(self._folder.glob("*.json")))
        return [entry for entry in entries if entry is not None]

    def write(self, key: str, entry: Entry) -> None:
        """Write the entry of a job."""
        text = json.dumps(asdict(entry), indent=2, ensure_ascii=False) + "\n"
        write_text(self._folder / f"{key}.json", text)

    def lock(self, key: str) -> AbstractContextManager[bool]:
        """A lock on a job; yields False while another process runs it."""
        return lock(self._folder / f".{key}.lock")
