"""A run directory, and what is shown while it is filled.

config.yaml  spec.json  train.log  metrics.json  events.out.tfevents...  checkpoints/{last.pt,best.safetensors}
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor
from tqdm import tqdm

from seqzoo.contracts import Alignment
from seqzoo.drawing import can_draw, draw
from seqzoo.errors import CheckpointError
from seqzoo.training.checkpoint import save_training, save_weights, write_atomically
from seqzoo.training.session import Session
from seqzoo.training.tracking import Tracker

CONFIG, SPEC, METRICS, LOG = "config.yaml", "spec.json", "metrics.json", "train.log"
LAST, BEST = "checkpoints/last.pt", "checkpoints/best.safetensors"


class Run:
    """`folder` belongs to one training; `create` refuses one that is taken."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.tracker: Tracker | None = None
        self._bar: tqdm | None = None
        self._log = logging.Logger("seqzoo")
        handler = logging.FileHandler(folder / LOG, delay=True, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._log.addHandler(handler)

    @classmethod
    def create(cls, folder: Path, config: dict[str, Any]) -> Run:
        """Make the directory and write its configuration."""
        folder.mkdir(parents=True, exist_ok=True)
        taken = [name for name in (CONFIG, METRICS, LAST, BEST) if (folder / name).exists()]
        if taken:
            raise CheckpointError(
                f"{folder} holds a run already ({taken[0]}): continue it with resume={folder}, "
                "or give another folder with hydra.run.dir="
            )
        text = OmegaConf.to_yaml(OmegaConf.create(config))
        write_atomically(folder / CONFIG, lambda file: file.write(text.encode()))
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> tuple[Run, dict[str, Any]]:
        """An existing run and its configuration."""
        return cls(folder), read_config(folder)

    def log(self, text: str) -> None:
        """To the terminal, above the progress bar, and to the log."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()
        for line in text.split("\n"):
            self._log.info(line)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self.folder / name, lambda file: file.write(text.encode()))

    def save(self, session: Session) -> None:
        save_training(self.folder / LAST, session.content())

    def save_best(self, session: Session, metadata: dict[str, str]) -> None:
        save_weights(self.folder / BEST, session.model, {"step": str(session.position.step), **metadata})

    @contextmanager
    def progress_bar(self, session: Session) -> Iterator[tqdm]:
        """Updates done, speed and time left; on a terminal only. The loss is put beside it by `log_update`."""
        with tqdm(
            total=session.total_steps,
            initial=session.position.step,
            desc="training",
            unit="update",
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        ) as self._bar:
            yield self._bar
        self._bar = None

    def log_update(self, session: Session, norm: Tensor) -> None:
        position, loss = session.position, session.mean_loss()
        session.last_train_loss = loss
        speed = position.tokens / max(position.update_seconds, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, {speed:,.0f} tokens/s")
        if self.tracker is not None:
            values = {
                "train/loss": loss,
                "train/gradient_norm": norm.item(),
                "train/learning_rate": session.optimizer.param_groups[0]["lr"],
                "train/tokens_per_second": speed,
                "train/epoch": position.epoch,
            }
            self.tracker.scalars(values, position.step)

    def log_validation(self, session: Session, scores: dict[str, float], examples: list[str], improved: bool) -> None:
        position = session.position
        left = (session.total_steps - position.step) * position.seconds / max(position.step, 1)
        numbers = "  ".join(f"{name} {format_number(value)}" for name, value in scores.items())
        self.log(
            f"update {position.step:,}/{session.total_steps:,}  epoch {position.epoch + 1}  {numbers}"
            f"{'  (best)' if improved else ''}  {position.tokens / max(position.update_seconds, 1e-9):,.0f} tokens/s  "
            f"{format_seconds(left)} left"
        )
        for example in examples:
            self.log(indent(example, "    "))
        if self.tracker is not None:
            tags = {f"valid/{'loss' if name == 'loss_nats' else name}": value for name, value in scores.items()}
            self.tracker.scalars(tags, position.step)
            if examples:
                # four spaces make a block of Markdown that is shown as it is
                text = indent("\n".join(examples), "    ")
                self.tracker.text("valid/examples", text, position.step)

    def log_alignments(self, alignments: list[Alignment], step: int) -> None:
        """Pictures, where matplotlib is installed."""
        if self.tracker is not None and can_draw():
            for number, alignment in enumerate(alignments):
                self.tracker.picture(f"valid/attention_{number + 1}", draw(alignment), step)

    def close(self) -> None:
        for handler in self._log.handlers:
            handler.close()


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration a run was started with."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is no run directory: there is no {CONFIG} in it")
    try:
        config = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # a YAML parser's many errors
        raise CheckpointError(f"{path} cannot be read as a configuration: {' '.join(str(error).split())}") from error
    sections = ("choices", "overrides", "seed", "cell", "backbone", "encoder", "task", "data", "training")
    absent = [name for name in sections if not isinstance(config, dict) or name not in config]
    if absent:
        raise CheckpointError(f"{path} is no configuration of seqzoo: it has no {absent[0]}")
    return config  # type: ignore[return-value]


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} has no {path.name}: the run did not get that far") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def format_number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def format_seconds(seconds: float) -> str:
    return time.strftime("%H:%M:%S" if seconds >= 3600 else "%M:%S", time.gmtime(seconds))


def format_table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name.ljust(width)}  {value}" for name, value in rows)
