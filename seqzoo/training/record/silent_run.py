"""The run directory as the other processes of a training have it: they follow the first one, and write nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqzoo.contracts.options import Options
from seqzoo.training.record.files import read_config
from seqzoo.training.record.run import Run
from seqzoo.training.record.tracking import Ending, Hyperparameter
from seqzoo.training.session import Session


class SilentRun(Run):
    """A run whose log, curves and checkpoints another process writes.

    Args:
        folder: the directory.
    """

    shown = False

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, config: Options) -> Run:
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> tuple[Run, Options]:
        return cls(folder), read_config(folder)

    def close(self) -> None:
        pass

    def track(self, hyperparameters: Mapping[str, Hyperparameter], group: str, purge_step: int | None) -> None:
        pass

    def end_tracking(self, ending: Ending | None) -> None:
        pass

    def forget_after(self, step: int) -> None:
        pass

    def log(self, text: str) -> None:
        pass

    def log_error(self, error: Exception) -> None:
        pass

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        pass

    def save(self, session: Session) -> None:
        session.content()  # the first process needs this one's part of the state

    def save_best(self, session: Session, metadata: dict[str, str]) -> None:
        pass

    def log_validation(self, session: Session, scores: dict[str, float], examples: list[str], improved: bool) -> None:
        pass

    def _add_point(self, values: dict[str, float], session: Session) -> None:
        pass
