"""Runs and sweeps by Hydra, which names the run directories; what it composes is composed and checked as everywhere."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqzoo import config as configuration
from seqzoo.errors import ConfigError, SeqzooError


def launch(flags: list[str], overrides: list[str], start: Callable[[dict[str, Any], Path], object]) -> None:
    """Call `start` with the configuration and the folder of one run, or with -m among the flags of each run of a sweep.

    Raises ConfigError before the first run where a name or option is misspelled, what `start` raises for one run, and
    SeqzooError that names the failed runs of a sweep after the others have finished.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig

    sweep = "-m" in flags or "--multirun" in flags
    if sweep:
        _check_names(overrides)
    failures: list[tuple[str, SeqzooError]] = []

    def job(_: DictConfig) -> None:
        about = HydraConfig.get()
        chosen = list(about.overrides.task)
        try:
            start(configuration.compose(*chosen), Path(about.runtime.output_dir))
        except SeqzooError as error:
            failures.append((shlex.join(chosen), error))
            if sweep:
                print(f"seqzoo: {failures[-1][0]} failed: {error}", file=sys.stderr)

    configuration.register_resolvers()
    given = sys.argv
    sys.argv = ["seqzoo train", *flags, *overrides, *configuration.search_path()]
    try:
        hydra.main(version_base="1.3", config_path=str(configuration.CONF_DIR), config_name="config")(job)()
    finally:
        sys.argv = given
    if failures and not sweep:
        raise failures[0][1]
    if failures:
        lines = "\n".join(f"  seqzoo train {command}" for command, _ in failures)
        what = "1 job of the sweep" if len(failures) == 1 else f"{len(failures)} jobs of the sweep"
        raise SeqzooError(f"{what} failed; to run one alone:\n{lines}")


def _check_names(overrides: list[str]) -> None:
    """What does not fit together fails later, as its job alone."""
    mistakes: dict[str, list[str]] = {}
    jobs = configuration.jobs(*overrides)
    for job in jobs:
        for mistake in configuration.examine(*job)[1]:
            mistakes.setdefault(mistake, job)
    if mistakes:
        told = [f"{mistake} (in {shlex.join(job)})" for mistake, job in mistakes.items()]
        raise ConfigError(told if len(jobs) > 1 else mistakes)
