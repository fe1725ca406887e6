"""What the commands share: their options, their help, and modules of the user's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from seqzoo.configuration import composing, registry
from seqzoo.contracts.errors import ConfigError, closest
from seqzoo.contracts.options import unquoted


def help_options(command: str, overrides: list[str]) -> None:
    """Print every option of the chosen configuration with its default and the comment in `conf/`."""
    config = composing.compose(*overrides)
    print(f"seqzoo {command} [OPTION=VALUE ...]\n\nGroups (seqzoo list GROUP shows all names):")
    for group in registry.GROUPS:
        print(f"  {group + '=' + config['choices'][group]:34} {registry.summary(group, config['choices'][group])}")
    print("\n  seed=0                             random seed: initialisation, dropout, data order")
    print("  baseline=auto                      also score the best simple baseline: true, false or auto (if quick)")
    print("  recipe=auto                        choose options that are not given from the data: auto or none")
    print("  ensemble=1                         number of networks that are trained together and averaged")
    print("  resume=RUN_DIR                     run directory to continue")
    print("  allow_changed_data=true            resume a run although its data files have changed")
    print("  allow_modules=[my_module]          Python modules of your own that `class:` may name")
    print("  hydra.run.dir=FOLDER               output directory of the run")
    print("  --config-dir FOLDER                folder of your own YAMLs, laid out like conf/")
    print("  -m                                 sweep: train every combination of values given as a,b,c")
    print("\nbudget")
    for option, default, what in registry.common_help("budget"):
        print(f"  {f'budget.{option}={default}':42} {what}")
    for group in ("cell", "backbone", "encoder", "task", "data", "learning", "training"):
        print(f"\n{group}: {config['choices'][group]}")
        options = registry.every_option(group, config["choices"][group])
        for option, default, what in options:
            if not default and any(name.startswith(f"{option}.") for name, _, _ in options):
                print(f"\n  {group}.{option}: {what}" if what else f"\n  {group}.{option}:")
            else:
                print(f"  {f'{group}.{option}={default}':42} {what}")


def allow_own_modules(overrides: list[str]) -> None:
    """`find_modules_here` if overrides allow modules."""
    if any(override.lstrip("+").startswith("allow_modules=") for override in overrides):
        find_modules_here()


def add_allow_module(parser: argparse._ActionsContainer, user: str = "the run may use") -> None:
    """Add the option for modules of the user's own; `find_modules_here` lets Python import them.

    Args:
        parser: of a command, or a group of its options.
        user: the end of the help, which says what may use the module.
    """
    parser.add_argument("--allow-module", action="append", default=[], help=f"a Python module of your own that {user}")


def find_modules_here() -> None:
    """Let Python also import modules from the current folder."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def take_config_dirs(arguments: list[str]) -> list[str]:
    """Register the folders given by --config-dir and return the other arguments."""
    rest, remaining = [], iter(arguments)
    for argument in remaining:
        if argument in ("--config-dir", "-cd"):
            registry.use_config_dir(next(remaining, ""))
        elif argument.startswith("--config-dir="):
            registry.use_config_dir(argument.split("=", 1)[1])
        else:
            rest.append(argument)
    return rest


def pairs_of(arguments: list[str], options: tuple[str, ...]) -> dict[str, Any]:
    """Parse arguments name=value. Raises ConfigError for names that are not among the options."""
    pairs = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name not in options:
            advice = closest(name, [f"{option}=" for option in options])
            raise ConfigError([f"{argument!r} is not an option of this command{advice}"])
        pairs[name] = unquoted(value)
    return pairs


def check_new(folder: Path | None) -> None:
    """Raise ConfigError if an output folder is not empty."""
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError([f"--to is {str(folder)!r}, which is not empty: choose another folder"])
