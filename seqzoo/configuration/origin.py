"""The run whose encoder and backbone a new training starts from, which the option `init` names.

Nothing here imports torch, so that composing a configuration stays fast; `transfer.py` copies the weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqzoo.configuration.pretrained import run_folder
from seqzoo.contracts.disk import open_to_read
from seqzoo.contracts.errors import CheckpointError, ConfigError
from seqzoo.contracts.options import Options, Values, shown
from seqzoo.training.record.files import BEST, CONFIG, LARGEST_CHECKPOINT, SPEC, read_config, read_json

TAKEN = ("encoder", "cell", "backbone")
"""The components of a run that a new training takes over."""
OPTIONS_OF_INPUTS = ("characters", "word_places")
"""The options of the data that say what an encoder of text reads besides the tokens."""


@dataclass(frozen=True)
class Origin:
    """A run that a new training starts from.

    Args:
        name: as the option `init` gives it: a run directory, or `pretrained:NAME`.
        folder: the run directory.
        config: its configuration.
        tokenizer: of its inputs; None: they are not text.
    """

    name: str
    folder: Path
    config: Options
    tokenizer: str | None

    @property
    def defaults(self) -> Values:
        """The options that the new training takes over: whole components, and those of the data by their paths."""
        values: dict[str, Any] = {group: self.config[group] for group in TAKEN}
        if self.tokenizer is not None:
            values |= {f"data.{option}": self.tokenizer for option in ("tokenizer", "source_tokenizer")}
            data = self.config["data"]
            values |= {f"data.{option}": data[option] for option in OPTIONS_OF_INPUTS if option in data}
        return values

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file with its weights."""
        digest = hashlib.sha256()
        with open_to_read(self.folder / BEST, LARGEST_CHECKPOINT) as file:
            while block := file.read(2**20):
                digest.update(block)
        return digest.hexdigest()

    @property
    def choices(self) -> dict[str, str]:
        """The names of the components that are taken over, by group."""
        choices: Options = self.config["choices"]
        return {group: choices[group] for group in TAKEN if group in choices}


def read_origin(init: Any) -> Origin:
    """The run that the option `init` names.

    Raises:
        ConfigError: it does not name a run, or that run is damaged, or has expressions in place of values.
    """
    if not isinstance(init, str) or not init:
        raise ConfigError([f"init is {shown(init)}: it must be a run directory, pretrained:NAME, or null"])
    try:
        folder = run_folder(init)
        config, inputs = read_config(folder), read_json(folder / SPEC).get("inputs")
    except CheckpointError as error:
        raise ConfigError([f"init={init} cannot be used: {error}"]) from None
    name = inputs.get("tokenizer") if isinstance(inputs, dict) else None
    origin = Origin(init, folder, config, name.removeprefix("lines:") if isinstance(name, str) else None)
    expression = _expression_in(origin.defaults)
    if expression is not None:
        raise ConfigError([f"init={init} cannot be used: its {CONFIG} has {shown(expression)} in place of a value"])
    return origin


def _expression_in(values: Any) -> str | None:
    """A text that composing would replace by something else, such as an environment variable; None: there is none."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list):
        return next(filter(None, map(_expression_in, values)), None)
    return values if isinstance(values, str) and ("${" in values or values == "???") else None
