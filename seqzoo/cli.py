"""The command line: seqzoo train | evaluate | predict | list | check | data.

torch is imported by what needs it, so that listing and helping answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from seqzoo import config as configuration
from seqzoo.errors import ConfigError, SeqzooError, closest

USAGE = """seqzoo: recurrent networks for sequence tasks

  seqzoo train [OPTION=VALUE ...]         train and score a model; -m runs a sweep: seqzoo train -m cell=lstm,gru
  seqzoo train resume=RUN_DIR             continue a run where its last checkpoint is
  seqzoo check [OPTION=VALUE ...]         every mistake at once, shapes, parameters and memory; nothing is read
  seqzoo evaluate RUN_DIR [split=test]    score a run's best weights
  seqzoo predict RUN_DIR [TEXT ...]       predict for texts, or for the lines of standard input
  seqzoo list GROUP [PATTERN]             cells, backbones, encoders, tasks, data, training, experiments, debug
  seqzoo data fetch NAME                  download a data set, with its checksum

  seqzoo COMMAND --help                   what each option does
"""
PLURALS = {"cells": "cell", "backbones": "backbone", "encoders": "encoder", "tasks": "task", "experiments": "experiment"}


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a user's mistake ends with exit status 2 and a sentence."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands: dict[str, Callable[[list[str]], None]] = {
        "train": train,
        "check": check,
        "evaluate": evaluate,
        "predict": predict,
        "list": list_names,
        "data": data,
    }
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return
    if arguments[0] == "--version":
        from seqzoo import __version__

        print(f"seqzoo {__version__}")
        return
    try:
        if arguments[0] not in commands:
            raise ConfigError([f"there is no command {arguments[0]!r}.{closest(arguments[0], commands)}"])
        commands[arguments[0]](arguments[1:])
    except SeqzooError as error:
        _fail(error)
    except BrokenPipeError:
        # who read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def train(arguments: list[str]) -> None:
    """Train one run, a sweep (-m), or go on with a run (resume=RUN_DIR)."""
    arguments = _take_config_dirs(arguments)
    if "-h" in arguments or "--help" in arguments:
        _help_options("train", [a for a in arguments if not a.startswith("-")])
        return
    flags = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    _allow_own_modules(overrides)
    resumed = [argument.split("=", 1)[1] for argument in overrides if argument.startswith("resume=")]
    if resumed and resumed[-1] not in ("", "null"):
        from seqzoo.runs import resume

        rest = [argument for argument in overrides if not argument.startswith("resume=")]
        _until_stopped(lambda: resume(Path(resumed[-1]), rest))
        return
    sweep = "-m" in flags or "--multirun" in flags
    if not flags:
        from seqzoo.build import examine

        _, mistakes = examine(*overrides)
        if mistakes:
            raise ConfigError(mistakes)
    _run_with_hydra([*flags, *overrides], sweep)


def _run_with_hydra(arguments: list[str], sweep: bool) -> None:
    """Hydra composes, sweeps and names the run directory; it calls `job` once a run."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig, OmegaConf

    failures: list[str] = []

    def job(composed: DictConfig) -> None:
        from seqzoo.runs import start

        about = HydraConfig.get()
        config: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
        config["choices"] = {
            group: configuration.real_name(group, about.runtime.choices[group]) for group in configuration.GROUPS
        }
        config["overrides"] = list(about.overrides.task)
        try:
            _until_stopped(lambda: start(config, Path(about.runtime.output_dir)))
        except SeqzooError as error:
            if not sweep:
                _fail(error)
            # the other jobs of a sweep go on
            print(f"seqzoo: {' '.join(config['overrides'])} failed: {error}", file=sys.stderr)
            failures.append(" ".join(config["overrides"]))

    configuration.register_resolvers()
    sys.argv = ["seqzoo train", *arguments, *configuration.search_path()]
    hydra.main(version_base="1.3", config_path=str(configuration.CONF_DIR), config_name="config")(job)()
    if failures:
        lines = "\n".join(f"  seqzoo train {failure}" for failure in failures)
        raise SeqzooError(f"{len(failures)} jobs of the sweep failed; to run one alone:\n{lines}")


def check(arguments: list[str]) -> None:
    """Compose, check and outline a configuration without reading its data."""
    arguments = _take_config_dirs(arguments)
    if "-h" in arguments or "--help" in arguments:
        _help_options("check", [a for a in arguments if not a.startswith("-")])
        return
    _allow_own_modules(arguments)
    from seqzoo.build import examine, outline
    from seqzoo.training.run import format_table

    config, mistakes = examine(*arguments)
    if mistakes or config is None:
        raise ConfigError(mistakes)
    found = outline(config)
    model = found.model
    rows = [(group, config["choices"][group]) for group in ("task", "data", "encoder", "backbone", "cell")]
    rows += [
        ("input ids", f"at most {found.spec.input_size:,}"),
        ("outputs", f"at most {found.spec.output_size:,}"),
        ("shapes", f"(B, T) -> (B, T, {model.encoder.output_size}) -> (B, T, {model.backbone.output_size}) -> task"),
        ("parameters", f"at most {found.parameters:,}"),
        ("memory", f"about {found.bytes_of_memory / 2**20:,.0f} MiB for batches of {found.rows} x {found.steps} steps"),
    ]
    rows += [
        (f"  {name}", f"{sum(p.numel() for p in part.parameters()):,} parameters")
        for name, part in model.named_children()
    ]
    print(format_table(rows))
    print("no mistakes")


def evaluate(arguments: list[str]) -> None:
    """Print the scores of a run on one split as JSON."""
    parser = argparse.ArgumentParser("seqzoo evaluate", description="Score a run's best weights on one split of its data.")
    parser.add_argument("run_dir", type=Path, help="a run directory")
    parser.add_argument("options", nargs="*", help="split=test (default), validation or train; device=, precision=, threads=")
    parser.add_argument("--allow-module", action="append", default=[], help="a module of your own that the run may use")
    chosen = parser.parse_args(arguments)
    options = _pairs(chosen.options, ("split", "device", "precision", "threads"))
    split = options.pop("split", "test")
    if "threads" in options and options["threads"] != "auto":
        options["threads"] = int(options["threads"])
    sys.path.insert(0, os.getcwd())
    from seqzoo.runs import evaluate_run

    scores = evaluate_run(chosen.run_dir, split, options, chosen.allow_module)
    print(json.dumps({"split": split, **scores}, indent=2))


def predict(arguments: list[str]) -> None:
    """Print a prediction for each text."""
    parser = argparse.ArgumentParser("seqzoo predict", description="Predict with a run's best weights, one line a text.")
    parser.add_argument("run_dir", type=Path, help="a run directory")
    parser.add_argument("text", nargs="*", help="texts; without any, the lines of standard input")
    parser.add_argument("--json", action="store_true", help="JSON lines: input, prediction, score (log-probability in nats)")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the task, such as temperature=0.5")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, or auto")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--allow-module", action="append", default=[], help="a module of your own that the run may use")
    chosen = parser.parse_args(arguments)
    sys.path.insert(0, os.getcwd())
    import torch
    from omegaconf import OmegaConf

    from seqzoo.loaded import load

    options: dict[str, Any] = OmegaConf.to_container(OmegaConf.from_dotlist(chosen.set))  # type: ignore[assignment]
    loaded = load(chosen.run_dir, chosen.device, chosen.allow_module, options)
    torch.manual_seed(chosen.seed)
    texts = iter(chosen.text) if chosen.text else (line.rstrip("\r\n") for line in sys.stdin)
    for some in _in_pieces(texts, 1 if sys.stdin.isatty() else 64):
        for text, prediction in zip(some, loaded.predict(some), strict=True):
            answer = prediction.answer
            if chosen.json:
                line = json.dumps({"input": text, "prediction": answer, "score": prediction.score}, ensure_ascii=False)
            else:
                line = answer if isinstance(answer, str) else " ".join(answer)
            print(line, flush=True)


def list_names(arguments: list[str]) -> None:
    """Print the names of a group with a line about each."""
    arguments = _take_config_dirs(arguments)
    groups = sorted({*configuration.GROUPS, *PLURALS} - set(PLURALS.values()))
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"seqzoo list GROUP [PATTERN]: names of a group, with wildcards; groups: {', '.join(groups)}")
        return
    group = PLURALS.get(arguments[0], arguments[0])
    if group not in configuration.GROUPS:
        raise ConfigError([f"there is no group {arguments[0]!r}.{closest(arguments[0], groups)}"])
    pattern = arguments[1] if len(arguments) > 1 else "*"
    found = configuration.names(group, pattern)
    if not found:
        raise ConfigError([f"no name in {arguments[0]} matches {pattern!r}"])
    width = max(len(name) for name in found)
    for name in found:
        print(f"{name.ljust(width)}  {configuration.summary(group, name)}")


def data(arguments: list[str]) -> None:
    """Download a named data set."""
    if len(arguments) < 2 or arguments[0] != "fetch":
        print("seqzoo data fetch NAME [root=FOLDER]: download a data set and verify its checksum; seqzoo list data names them")
        sys.exit(0 if not arguments or arguments[0] in ("-h", "--help") else 2)
    from seqzoo.data.fetching import fetch

    name = arguments[1]
    options = _pairs(arguments[2:], ("root",))
    section = configuration.compose(f"data={name}")["data"]
    for path in fetch(name, section.get("source"), options.get("root") or section.get("root")):
        print(path)


def _help_options(command: str, overrides: list[str]) -> None:
    """Every option of the chosen configuration, with its default and what it does, from the comments of `conf/`."""
    config = configuration.compose(*overrides)
    print(f"seqzoo {command} [OPTION=VALUE ...]\n\nChoices (seqzoo list GROUP names them all):")
    for group in configuration.GROUPS:
        print(f"  {group + '=' + config['choices'][group]:34} {configuration.summary(group, config['choices'][group])}")
    print("\n  seed=0                             of initialisation, dropout and the order of the data")
    print("  resume=RUN_DIR                     continue a run")
    print("  allow_modules=[my_module]          modules of your own that `class:` may name")
    print("  hydra.run.dir=FOLDER               where the run lies")
    print("  --config-dir FOLDER                a folder of your own, laid out as conf/")
    print("  -m                                 a sweep: every combination of values given as a,b,c")
    for group in ("cell", "backbone", "encoder", "task", "data", "training"):
        print(f"\n{group}={config['choices'][group]}")
        for option, default, what in configuration.option_help(group, config["choices"][group]):
            print(f"  {f'{group}.{option}={default}':42} {what}")


def _until_stopped(work: Callable[[], object]) -> None:
    """A training that a signal stopped has saved itself and said so; the exit status tells which signal."""
    from seqzoo.training.loop import Stopped

    try:
        work()
    except Stopped as stopped:
        sys.exit(128 + stopped.signal_number)


def _allow_own_modules(overrides: list[str]) -> None:
    """Modules that the user allows are found from the current folder, too."""
    if any(override.lstrip("+").startswith("allow_modules=") for override in overrides):
        sys.path.insert(0, os.getcwd())


def _take_config_dirs(arguments: list[str]) -> list[str]:
    rest, remaining = [], iter(arguments)
    for argument in remaining:
        if argument in ("--config-dir", "-cd"):
            configuration.use_config_dir(next(remaining, ""))
        elif argument.startswith("--config-dir="):
            configuration.use_config_dir(argument.split("=", 1)[1])
        else:
            rest.append(argument)
    return rest


def _pairs(arguments: list[str], known: tuple[str, ...]) -> dict[str, Any]:
    pairs = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name not in known:
            raise ConfigError([f"{argument!r} is no option here.{closest(name, [f'{option}=' for option in known])}"])
        pairs[name] = value
    return pairs


def _in_pieces(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    piece: list[str] = []
    for text in texts:
        piece.append(text)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


def _fail(error: SeqzooError) -> NoReturn:
    lines = str(error).split("\n")
    mistakes = getattr(error, "mistakes", lines)
    if len(mistakes) > 1:
        print(f"seqzoo: {len(mistakes)} mistakes", file=sys.stderr)
        for mistake in mistakes:
            print(f"  - {mistake}", file=sys.stderr)
    else:
        print("seqzoo: " + "\n".join(lines), file=sys.stderr)
    sys.exit(2)
