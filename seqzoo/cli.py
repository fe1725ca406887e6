"""The command line: train, evaluate, predict, compare, diff, ladder, gradients, list, info, check and data.

torch is imported by what needs it, so that listing and helping answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from seqzoo import config as configuration
from seqzoo.errors import ConfigError, DataError, SeqzooError, closest

USAGE = """seqzoo: recurrent networks for sequence tasks

  seqzoo train [OPTION=VALUE ...]         train and score a model; -m runs a sweep: seqzoo train -m cell=lstm,gru
  seqzoo train resume=RUN_DIR             continue a run where its last checkpoint is
  seqzoo check [OPTION=VALUE ...]         every mistake at once, shapes, parameters and memory; nothing is read
  seqzoo evaluate RUN_DIR [split=test]    score a run's best weights
  seqzoo predict RUN_DIR [TEXT ...]       predict for texts, or for the lines of standard input
  seqzoo compare RUN_DIR ...              runs side by side, seeds averaged; --html writes a page with plots
  seqzoo diff RUN_DIR RUN_DIR             the options in which two runs differ
  seqzoo ladder [OPTION=VALUE ...]        how many steps of the past a cell carries, on four tasks, in about a minute
  seqzoo gradients cell=A,B [--to DIR]    the gradient's norm by time lag: what vanishes and what explodes
  seqzoo list GROUP [PATTERN]             cells, backbones, encoders, tasks, data, training, experiments, debug
  seqzoo info CELL                        paper, equations, options, states, parameters and BibTeX of a cell
  seqzoo data fetch NAME                  download a data set, with its checksum

  seqzoo COMMAND --help                   what each option does
"""
PLURALS = {f"{group}s": group for group in ("cell", "backbone", "encoder", "task", "experiment")}


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a user's mistake ends with exit status 2 and a sentence."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands: dict[str, Callable[[list[str]], None]] = {
        "train": train,
        "check": check,
        "evaluate": evaluate,
        "predict": predict,
        "ladder": ladder,
        "gradients": gradients,
        "list": list_names,
        "info": info,
        "compare": compare,
        "diff": diff,
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
        commands[arguments[0]](_take_config_dirs(arguments[1:]))
    except SeqzooError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # who read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def train(arguments: list[str]) -> None:
    """Train one run, a sweep (-m), or go on with a run (resume=RUN_DIR)."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    if "-h" in flags or "--help" in flags:
        _help_options("train", overrides)
        return
    from seqzoo.launch import launch, until_stopped

    _allow_own_modules(overrides)
    run_dir, rest = _take_resume(overrides)
    if run_dir is not None:
        if flags:
            raise ConfigError([f"{flags[0]} does not go with resume=: one run is continued at a time"])
        from seqzoo.runs import resume

        until_stopped(lambda: resume(run_dir, rest))
        return
    if not flags:
        from seqzoo.building import examine

        _, mistakes = examine(*overrides)
        if mistakes:
            raise ConfigError(mistakes)
    launch(flags, overrides)


def check(arguments: list[str]) -> None:
    """Compose, check and outline a configuration without reading its data."""
    if "-h" in arguments or "--help" in arguments:
        _help_options("check", [a for a in arguments if not a.startswith("-")])
        return
    _allow_own_modules(arguments)
    from seqzoo.building import examine, outline
    from seqzoo.training.run import format_table

    config, mistakes = examine(*arguments)
    if mistakes or config is None:
        raise ConfigError(mistakes)
    found = outline(config)
    model = found.model
    steps = "T" if model.backbone.keeps_time else "fewer than T"
    rows = [(group, config["choices"][group]) for group in ("task", "data", "encoder", "backbone", "cell")]
    rows += [
        ("input ids", f"at most {found.spec.input_size:,}"),
        ("outputs", f"at most {found.spec.output_size:,}"),
        (
            "shapes",
            f"(B, T) -> (B, T, {model.encoder.output_size}) -> (B, {steps}, {model.backbone.output_size}) -> task",
        ),
        ("parameters", f"at most {found.cost.parameters:,}"),
        ("FLOPs", f"{found.cost.flops_per_token:,.0f} a token, of a forward pass"),
        ("state", f"{found.cost.state_bytes:,} bytes a sequence"),
        (
            "memory",
            f"about {found.cost.training_bytes / 2**20:,.0f} MiB for batches of {found.rows} x {found.steps} steps",
        ),
    ]
    rows += [
        (f"  {name}", f"{sum(p.numel() for p in part.parameters()):,} parameters")
        for name, part in model.named_children()
    ]
    print(format_table(rows))
    print("no mistakes")


def evaluate(arguments: list[str]) -> None:
    """Print the scores of a run on one split as JSON."""
    parser = argparse.ArgumentParser(
        "seqzoo evaluate", description="Score a run's best weights on one split of its data."
    )
    parser.add_argument("run_dir", type=Path, help="a run directory")
    parser.add_argument(
        "options", nargs="*", help="split=test (default), validation or train; device=, precision=, threads="
    )
    parser.add_argument("--allow-module", action="append", default=[], help="a module of your own that the run may use")
    chosen = parser.parse_intermixed_args(arguments)
    options = _pairs(chosen.options, ("split", "device", "precision", "threads"))
    split = options.pop("split", "test")
    if options.get("threads", "").isdecimal():
        options["threads"] = int(options["threads"])
    if chosen.allow_module:
        _find_modules_here()
    from seqzoo.runs import evaluate_run

    scores = evaluate_run(chosen.run_dir, split, options, chosen.allow_module)
    print(json.dumps({"split": split, **scores}, indent=2))


def predict(arguments: list[str]) -> None:
    """Print a prediction for each text."""
    parser = argparse.ArgumentParser(
        "seqzoo predict", description="Predict with a run's best weights, one line a text."
    )
    parser.add_argument("run_dir", type=Path, help="a run directory")
    parser.add_argument("text", nargs="*", help="texts; without any, the lines of standard input")
    parser.add_argument(
        "--json", action="store_true", help="JSON lines: input, prediction, score (log-probability in nats)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option of the task, such as temperature=0.5 or beam_size=5",
    )
    parser.add_argument(
        "--n-best", type=int, default=1, metavar="N", help="so many lines a text, the best first, of a beam as wide"
    )
    parser.add_argument(
        "--attention",
        type=Path,
        metavar="PICTURE",
        help="draw what each token of an answer attended to, as .png, .svg or .pdf; a second text's is PICTURE-2",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, or auto")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--allow-module", action="append", default=[], help="a module of your own that the run may use")
    chosen = parser.parse_intermixed_args(arguments)
    if chosen.allow_module:
        _find_modules_here()
    import torch

    from seqzoo.loaded import load

    options = _task_options(chosen.set)
    if chosen.n_best > 1:
        options.setdefault("beam_size", chosen.n_best)
    loaded = load(chosen.run_dir, chosen.device, chosen.allow_module, options)
    torch.manual_seed(chosen.seed)
    done = 0
    for some in _in_pieces(chosen.text or _lines_of_input(), 1 if sys.stdin.isatty() else 64):
        rows = loaded.candidates(some, chosen.n_best, first_line=done + 1)
        if chosen.attention is not None:
            _draw_attention(loaded, some, chosen.attention, done + 1)
        done += len(some)
        for text, prediction in ((text, found) for text, row in zip(some, rows, strict=True) for found in row):
            answer = prediction.answer
            if chosen.json:
                line = json.dumps({"input": text, "prediction": answer, "score": prediction.score}, ensure_ascii=False)
            else:
                line = answer if isinstance(answer, str) else " ".join(answer)
            print(line, flush=True)


def _draw_attention(loaded: Any, texts: list[str], path: Path, first: int) -> None:
    from seqzoo.drawing import save

    for number, alignment in enumerate(loaded.alignments(texts, first_line=first), start=first):
        save(alignment, path if number == 1 else path.with_stem(f"{path.stem}-{number}"))


def ladder(arguments: list[str]) -> None:
    """Train a cell on tasks of memory, longer and longer, and print how far it gets."""
    parser = argparse.ArgumentParser(
        "seqzoo ladder",
        description="How many steps of the past a cell carries: copy, adding, recall and parity at growing lengths, "
        "each trained from a fresh start. About a minute for cell=lstm on a free core, more for who gets further.",
    )
    parser.add_argument(
        "options", nargs="*", metavar="OPTION=VALUE", help="as of train: cell=gru seed=1 training.steps=2000"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="keep the runs there, and a table of them")
    chosen = parser.parse_intermixed_args(arguments)
    _check_new(chosen.to)
    _allow_own_modules(chosen.options)
    from seqzoo.analysis.ladder import TABLE, climb, report, write
    from seqzoo.launch import until_stopped

    def run() -> None:
        with tempfile.TemporaryDirectory() as temporary:
            attempts = []
            for attempt in climb(chosen.options, chosen.to or Path(temporary)):
                print(attempt, flush=True)
                attempts.append(attempt)
        print(f"\n{report(attempts)}")
        if chosen.to is not None:
            write(attempts, chosen.to / TABLE)

    until_stopped(run)


def gradients(arguments: list[str]) -> None:
    """Print and draw the norm of the gradient by time lag, of cells before any training."""
    parser = argparse.ArgumentParser(
        "seqzoo gradients",
        description="The norm of the last output's gradient by the state so many steps before, of untrained cells.",
    )
    parser.add_argument(
        "options",
        nargs="*",
        metavar="OPTION=VALUE",
        help="as of a sweep by train: cell=elman,lstm cell.recurrent_gain=1,2",
    )
    parser.add_argument("--steps", type=int, default=100, help="the longest lag (100)")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="write a picture, a table and TensorBoard's curves there"
    )
    chosen = parser.parse_intermixed_args(arguments)
    _check_new(chosen.to)
    _allow_own_modules(chosen.options)
    from seqzoo.analysis.gradient_flow import format_curves, gradient_flow, write

    curves = gradient_flow(chosen.options, chosen.steps)
    print(format_curves(curves))
    if chosen.to is not None:
        write(curves, chosen.to)


def _check_new(folder: Path | None) -> None:
    """Raises ConfigError where something lies in a folder that is to be written."""
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError([f"--to is {str(folder)!r}, which is not empty: choose another folder"])


def list_names(arguments: list[str]) -> None:
    """Print the names of a group with a line about each."""
    groups = sorted({*configuration.GROUPS, *PLURALS} - set(PLURALS.values()))
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"seqzoo list GROUP [PATTERN]: names of a group, with wildcards; groups: {', '.join(groups)}")
        print("seqzoo list cells --max-parameters N [PATTERN]: cells of at most N parameters at I = H = 128")
        return
    limit, arguments = _take_max_parameters(arguments)
    group = PLURALS.get(arguments[0], arguments[0])
    if group not in configuration.GROUPS:
        raise ConfigError([f"there is no group {arguments[0]!r}.{closest(arguments[0], groups)}"])
    pattern = arguments[1] if len(arguments) > 1 else "*"
    found = configuration.names(group, pattern)
    if not found:
        raise ConfigError([f"no name in {arguments[0]} matches {pattern!r}"])
    width = max(len(name) for name in found)
    if limit is None:
        for name in found:
            print(f"{name.ljust(width)}  {configuration.summary(group, name)}")
        return
    if group != "cell":
        raise ConfigError(["--max-parameters counts cells: seqzoo list cells --max-parameters N"])
    for name in found:
        parameters = _count(name)
        if parameters is None or parameters <= limit:
            counted = "?" if parameters is None else f"{parameters:,}"
            print(f"{name.ljust(width)}  {counted:>9}  {configuration.summary(group, name)}")


def _count(name: str) -> int | None:
    """A cell's parameters; None for one outside seqzoo, whose code listing must not run."""
    from seqzoo.catalogue import cell_info

    cell = cell_info(name)
    return None if "." in cell.cell_class else cell.parameters


def info(arguments: list[str]) -> None:
    """Print what is known of a cell."""
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print(
            "seqzoo info CELL: paper, equations, options, states, parameters and BibTeX of a name of seqzoo list cells"
        )
        sys.exit(0 if arguments and arguments[0] in ("-h", "--help") else 2)
    from seqzoo.catalogue import cell_info

    print(cell_info(arguments[0]))


def compare(arguments: list[str]) -> None:
    """Print tables of finished runs, the seeds of one configuration in a row, and write them to files."""
    parser = argparse.ArgumentParser("seqzoo compare", description="Finished runs side by side, seeds averaged.")
    parser.add_argument("runs", nargs="+", help="run directories, folders that hold some, or wildcards")
    parser.add_argument(
        "--split", choices=("test", "validation"), help="whose scores; default: test where there is one"
    )
    parser.add_argument("--score", type=float, metavar="X", help="tell the seconds until validation scores reach X")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each configuration and metric")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots that needs no other file")
    chosen = parser.parse_args(arguments)
    from seqzoo.analysis import compare as tables_of
    from seqzoo.analysis.reading import read_runs

    runs, problems = read_runs(chosen.runs)
    tables = tables_of.compare(runs, chosen.split, chosen.score)
    print(tables_of.as_text(tables, problems))
    texts = [(chosen.csv, tables_of.as_csv), (chosen.markdown, tables_of.as_markdown)]
    for path, write in texts:
        if path is not None:
            path.write_text(write(tables), encoding="utf-8")
    if chosen.html is not None:
        from seqzoo.analysis.report import as_html

        chosen.html.write_text(as_html(tables, problems), encoding="utf-8")


def diff(arguments: list[str]) -> None:
    """Print the options in which two runs differ."""
    parser = argparse.ArgumentParser("seqzoo diff", description="The options in which two runs differ.")
    parser.add_argument("run_dir", type=Path, help="a run directory")
    parser.add_argument("other", type=Path, help="another one")
    chosen = parser.parse_args(arguments)
    from seqzoo.training.files import read_config

    one, other = (read_config(folder) for folder in (chosen.run_dir, chosen.other))
    found = configuration.differences(one, other)
    found = {name: values for name, values in found.items() if name != "overrides"}
    if not found:
        print("no differences")
        return
    rows = [["", str(chosen.run_dir), str(chosen.other)]]
    rows += [[name, *(json.dumps(value, ensure_ascii=False) for value in values)] for name, values in found.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def data(arguments: list[str]) -> None:
    """Download a named data set."""
    if len(arguments) < 2 or arguments[0] != "fetch":
        print("seqzoo data fetch NAME [root=FOLDER]: download a data set and verify its checksum")
        print("seqzoo list data: their names")
        sys.exit(0 if not arguments or arguments[0] in ("-h", "--help") else 2)
    from seqzoo.data.fetching import fetch

    name = arguments[1]
    options = _pairs(arguments[2:], ("root",))
    section = configuration.load("data", name)
    if not section.get("source"):
        raise ConfigError([f"data={name} is not fetched: it is generated, or reads files of your own"])
    for path in fetch(section["source"], options.get("root") or section.get("root")):
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
    print("\nbudget")
    for option, default, what in configuration.common_help("budget"):
        print(f"  {f'budget.{option}={default}':42} {what}")
    for group in ("cell", "backbone", "encoder", "task", "data", "training"):
        print(f"\n{group}={config['choices'][group]}")
        for option, default, what in configuration.every_option(group, config["choices"][group]):
            print(f"  {f'{group}.{option}={default}':42} {what}")


def _allow_own_modules(overrides: list[str]) -> None:
    if any(override.lstrip("+").startswith("allow_modules=") for override in overrides):
        _find_modules_here()


def _find_modules_here() -> None:
    """Modules that the user allows are found from the current folder, too."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _take_resume(overrides: list[str]) -> tuple[Path | None, list[str]]:
    """The run directory to continue, if any, and the other overrides."""
    chosen = [override.partition("=")[2] for override in overrides if override.startswith("resume=")]
    rest = [override for override in overrides if not override.startswith("resume=")]
    return (Path(chosen[-1]) if chosen and chosen[-1] not in ("", "null") else None), rest


def _task_options(texts: list[str]) -> dict[str, Any]:
    """OPTION=VALUE texts, each value as YAML."""
    from omegaconf import OmegaConf

    for text in texts:
        if "=" not in text:
            raise ConfigError([f"--set is {text!r}: write OPTION=VALUE"])
    return OmegaConf.to_container(OmegaConf.from_dotlist(texts))  # type: ignore[return-value]


def _lines_of_input() -> Iterator[str]:
    try:
        for line in sys.stdin:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not {error.encoding} (byte 0x{error.object[error.start]:02x})") from None


def _take_config_dirs(arguments: list[str]) -> list[str]:
    """Use the folders that --config-dir names; returns the other arguments."""
    rest, remaining = [], iter(arguments)
    for argument in remaining:
        if argument in ("--config-dir", "-cd"):
            configuration.use_config_dir(next(remaining, ""))
        elif argument.startswith("--config-dir="):
            configuration.use_config_dir(argument.split("=", 1)[1])
        else:
            rest.append(argument)
    return rest


def _take_max_parameters(arguments: list[str]) -> tuple[int | None, list[str]]:
    """The number that --max-parameters gives, if any, and the other arguments."""
    rest, limit = [], None
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag != "--max-parameters":
            rest.append(argument)
            continue
        value = value if equals else next(remaining, "")
        if not value.isdecimal():
            raise ConfigError([f"--max-parameters is {value!r}: it must be a whole number"])
        limit = int(value)
    return limit, rest


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
    mistakes = error.mistakes if isinstance(error, ConfigError) else [str(error)]
    if len(mistakes) == 1:
        print(f"seqzoo: {mistakes[0]}", file=sys.stderr)
    else:
        print(
            f"seqzoo: {len(mistakes)} mistakes", *(f"  - {mistake}" for mistake in mistakes), sep="\n", file=sys.stderr
        )
    sys.exit(2)
