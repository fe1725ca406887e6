"""Pretrained networks: run directories with weights in half precision, which the package contains.

`conf/pretrained/NAME.yaml` is the card of a network, `seqzoo/pretrained/NAME` its run directory. `pretrained:NAME` may
be given wherever a run directory is read. This module does not import torch, so that `seqzoo list` starts quickly.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from seqzoo.configuration import registry
from seqzoo.configuration.hub import fetched, is_on_hub
from seqzoo.contracts.errors import CheckpointError, ConfigError
from seqzoo.contracts.options import check_options
from seqzoo.training.record.files import BEST, read_bytes

GROUP = "pretrained"
PREFIX = f"{GROUP}:"
WEIGHTS = Path(__file__).resolve().parents[1] / GROUP
LARGEST = 2_000_000
"""Maximum number of bytes of the weights of a network."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a pretrained network.

    Args:
        name: of the network.
        summary: what it does, and on what it was trained.
        command: that trained it.
        commit: the revision of seqzoo that trained it.
        data: the name of the data set, as of `data=NAME`.
        metric: the metric of the score.
        split: the split that was scored.
        score: of these weights, in half precision, to four digits.
        parameters: number of parameters.
        licence: of the data, with its source, which the weights are distributed under.
        size: bytes of the weights.
        sha256: of the file with the weights.
        example: an input; empty: inputs are files, of which the package has none.
    """

    name: str
    summary: str
    command: str
    commit: str
    data: str
    metric: str
    split: str
    score: float
    parameters: int
    licence: str
    size: int
    sha256: str
    example: str = ""

    def __str__(self) -> str:
        """The card as `seqzoo info` prints it."""
        rows = {
            "score": f"{self.scored}, as printed by seqzoo evaluate {PREFIX}{self.name}",
            "parameters": f"{self.parameters:,}, {self.size / 1e6:.2f} MB in half precision",
            "data": f"data={self.data}; {self.licence}",
            "trained by": f"{self.command}   (revision {self.commit})",
            "sha256": self.sha256,
            "try it": f"seqzoo predict {PREFIX}{self.name} {shlex.quote(self.example) if self.example else 'FILE'}",
        }
        width = max(map(len, rows))
        lines = [f"  {label.ljust(width)}  {value}" for label, value in rows.items()]
        return "\n".join([f"{PREFIX}{self.name}: {self.summary}", "", *lines])

    @property
    def scored(self) -> str:
        """The score with its metric and split."""
        return f"{self.metric} {self.score:.4g} ({self.split})"


def list_pretrained(pattern: str = "*") -> list[str]:
    """The names of the pretrained networks.

    Args:
        pattern: a shell-style wildcard that the names match.

    Returns:
        The names, sorted; `seqzoo.load("pretrained:NAME")` loads one.

    Examples:
        >>> seqzoo.list_pretrained("addition*")
        ['addition_lstm']
    """
    return registry.names(GROUP, pattern)


def read_card(name: str) -> Card:
    """The card of a pretrained network.

    Raises:
        ConfigError: there is no network of this name, or its card is damaged.
    """
    options = registry.file_content(GROUP, name)
    mistakes = check_options(f"conf/{GROUP}/{name}.yaml", Card, options, provided=("name", "summary"))
    if mistakes:
        raise ConfigError([*mistakes.values()])
    return Card(name=name, summary=registry.summary(GROUP, name), **options)


def run_folder(run_dir: str | Path) -> Path:
    """The run directory that is meant.

    `pretrained:NAME` is that of a pretrained network, whose checksum is verified; `hf://OWNER/NAME` is downloaded from
    the Hugging Face Hub.

    Args:
        run_dir: a run directory, which need not exist, `pretrained:NAME`, or `hf://OWNER/NAME`.

    Raises:
        ConfigError: there is no pretrained network of this name.
        CheckpointError: its weights are not those that its card describes.
    """
    if is_on_hub(run_dir):
        return fetched(run_dir)
    if not str(run_dir).startswith(PREFIX):
        return Path(run_dir)
    card = read_card(str(run_dir).removeprefix(PREFIX))
    folder = WEIGHTS / card.name
    if not (folder / BEST).is_file():
        raise CheckpointError(f"{folder / BEST} is missing: install seqzoo again")
    if hashlib.sha256(read_bytes(folder / BEST, LARGEST)).hexdigest() != card.sha256:
        raise CheckpointError(f"{folder / BEST} is damaged: its sha256 is not that of its card; install seqzoo again")
    return folder
