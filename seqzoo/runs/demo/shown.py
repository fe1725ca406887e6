"""The runs of the page, with their names and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqzoo.configuration.pretrained import PREFIX, read_card
from seqzoo.contracts.errors import ConfigError, located
from seqzoo.network.model import Model
from seqzoo.runs.demo.replies import read_by, views_of
from seqzoo.runs.loaded import Loaded
from seqzoo.runs.loading import load


@dataclass(frozen=True)
class Shown:
    """A run on the page.

    Args:
        name: of its tab, which no other run has.
        about: what it does or consists of, one line.
        command: that predicts with it.
        loaded: the run.
        example: an input that it is shown with; empty: none is known.
    """

    name: str
    about: str
    command: str
    loaded: Loaded
    example: str = ""


def shown_runs(run_dirs: Iterable[str], allow_modules: Sequence[str] = ()) -> list[Shown]:
    """Load runs for the page.

    Args:
        run_dirs: run directories, or `pretrained:NAME`.
        allow_modules: user-defined modules that the runs may use.

    Raises:
        CheckpointError: a folder is not a run directory, or is damaged.
        ConfigError: the name of a network is unknown, or a page has no field for the inputs of a run.
    """
    runs: list[Shown] = []
    for run_dir in dict.fromkeys(run_dirs):
        loaded = load(run_dir, allow_modules=allow_modules)
        with located(run_dir):
            read_by(loaded.spec)
        if not views_of(loaded):
            raise ConfigError([f"{run_dir}: answers of {loaded.task_name} have no form on the page: leave the run out"])
        shown = _described(run_dir, loaded)
        same = sum(run.name == shown.name or run.name.startswith(f"{shown.name} (") for run in runs)
        name = f"{shown.name} ({same + 1})" if same else shown.name
        runs.append(Shown(name, shown.about, shown.command, loaded, shown.example))
    return runs


def _described(run_dir: str, loaded: Loaded) -> Shown:
    command = f"seqzoo predict {run_dir}"
    if run_dir.startswith(PREFIX):
        card = read_card(run_dir.removeprefix(PREFIX))
        return Shown(card.name, f"{card.summary}; {card.scored}", command, loaded, card.example)
    choices = loaded.config.choices
    parts = [f"{group}={choices[group]}" for group in ("task", "data", "cell", "backbone") if choices.get(group)]
    size = f"{_count(loaded.model):,} parameters"
    task = choices.get("task", type(loaded.model.task).__name__)
    return Shown(f"{task} {choices.get('cell', '')}".strip(), ", ".join([*parts, size]), command, loaded)


def _count(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
