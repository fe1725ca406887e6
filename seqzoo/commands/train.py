"""Train a run or a sweep, or go on with one."""

from __future__ import annotations

from pathlib import Path

from seqzoo.commands.arguments import allow_own_modules, help_options, unquoted
from seqzoo.errors import ConfigError


def train(arguments: list[str]) -> None:
    """Train one run, a sweep (-m), or go on with a run (resume=RUN_DIR)."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    if "-h" in flags or "--help" in flags:
        help_options("train", overrides)
        return
    _check_flags(flags)
    from seqzoo.launch import launch, until_stopped

    allow_own_modules(overrides)
    run_dir, rest = _take_resume(overrides)
    if run_dir is not None:
        if flags:
            raise ConfigError([f"{flags[0]} does not go with resume=: one run is continued at a time"])
        from seqzoo.runs import resume

        until_stopped(lambda: resume(run_dir, rest))
        return
    launch(flags, overrides)


FLAGS = ("-m", "--multirun", "--cfg", "--resolve", "--info")
"""Of Hydra's, those that go with a run or a sweep."""


def _check_flags(flags: list[str]) -> None:
    for flag in flags:
        name = flag.partition("=")[0]
        if name not in FLAGS:
            raise ConfigError(
                [f"there is no flag {name!r}: options have no dashes, as in task=tagging; -m makes a sweep"]
            )


def _take_resume(overrides: list[str]) -> tuple[Path | None, list[str]]:
    """The run directory to continue, if any, and the other overrides."""
    chosen = [unquoted(override.partition("=")[2]) for override in overrides if override.startswith("resume=")]
    rest = [override for override in overrides if not override.startswith("resume=")]
    return (Path(chosen[-1]) if chosen and chosen[-1] not in ("", "null") else None), rest
