"""Sweeps: overrides with several values, and the jobs that they expand to."""

from __future__ import annotations

import itertools
import math
from typing import Any

from seqzoo.configuration.composing import MOST_JOBS
from seqzoo.configuration.parsing import parse_override
from seqzoo.configuration.registry import names
from seqzoo.contracts.errors import ConfigError


def jobs(*overrides: str) -> list[list[str]]:
    """The jobs of a sweep: all combinations of the values of its overrides."""
    choices = [values(text) for text in overrides]
    if math.prod(map(len, choices)) > MOST_JOBS:
        raise ConfigError([f"the sweep has more than {MOST_JOBS:,} jobs: vary fewer options, or fewer values"])
    return [list(job) for job in itertools.product(*choices)]


def varied(*overrides: str) -> list[str]:
    """The options that a sweep varies."""
    return [override.get_key_element() for override in map(sweeping, overrides) if override is not None]


def sweeping(text: str) -> Any:
    """An override with several values, parsed by Hydra; None for other overrides."""
    try:
        override = parse_override(text)
    except ConfigError:
        return None  # the error is reported where the override is used
    return override if override.is_sweep_override() else None


def values(text: str) -> list[str]:
    """The overrides with single values that an override expands to."""
    from hydra.core.override_parser.types import Glob

    override = sweeping(text)
    if override is None:
        return [text]
    value, key = override.value(), override.get_key_element()
    if isinstance(value, Glob):
        return [f"{key}={name}" for name in value.filter(names(key))] or [text]
    chosen = itertools.islice(override.sweep_string_iterator(), MOST_JOBS + 1)
    return [f"{key}={value}" for value in chosen]
