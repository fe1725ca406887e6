"""What became of each job of a sweep, so that it can be started again: one file a job, named after its configuration.

ledger/KEY.json holds an `Entry`. Whoever runs a job holds a lock that ends with its process: an entry that says
"running" without a lock is that of a job that was cut.
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
    """folder: of the run, inside that of the sweep; command: what runs the job alone; reason: why it failed, one line;
    details: where in the code, for what is no mistake of a user.
    """

    status: Literal["running", "done", "failed"]
    folder: str
    command: str
    reason: str = ""
    details: str = ""


class Ledger:
    """The jobs of the sweep in a folder, by the key of their configuration."""

    def __init__(self, sweep: Path):
        self._folder = sweep / LEDGER

    def read(self, key: str) -> Entry | None:
        """None for a job that never began; one whose file is damaged counts as such."""
        try:
            return Entry(**json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def entries(self) -> list[Entry]:
        """Of all jobs that began."""
        found = (self.read(path.stem) for path in sorted(self._folder.glob("*.json")))
        return [entry for entry in found if entry is not None]

    def write(self, key: str, entry: Entry) -> None:
        text = json.dumps(asdict(entry), indent=2, ensure_ascii=False) + "\n"
        write_text(self._folder / f"{key}.json", text)

    def lock(self, key: str) -> AbstractContextManager[bool]:
        """Whether this process may run the job, until the end of the context: False while another one does."""
        return lock(self._folder / f".{key}.lock")
