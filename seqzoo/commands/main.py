"""The command line: choose a command, and report its errors."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from seqzoo.commands.baseline import baseline
from seqzoo.commands.check import check
from seqzoo.commands.command_line import take_config_dirs
from seqzoo.commands.compare import compare
from seqzoo.commands.completion import candidates, completion
from seqzoo.commands.data import data
from seqzoo.commands.demo import demo
from seqzoo.commands.diff import diff
from seqzoo.commands.evaluate import evaluate
from seqzoo.commands.explain import explain
from seqzoo.commands.export import export
from seqzoo.commands.gradients import gradients
from seqzoo.commands.info import info
from seqzoo.commands.ladder import ladder
from seqzoo.commands.languages import languages
from seqzoo.commands.learn import learn
from seqzoo.commands.list_names import list_names
from seqzoo.commands.predict import predict
from seqzoo.commands.push import push
from seqzoo.commands.search import search
from seqzoo.commands.serve import serve
from seqzoo.commands.train import train
from seqzoo.contracts.errors import ConfigError, SeqzooError, closest, printable_lines, program
from seqzoo.contracts.launcher import rank, started
from seqzoo.contracts.own_parts import failure_of_own_part

USAGE = """seqzoo: recurrent networks for sequence tasks

  seqzoo train [OPTION=VALUE ...]         train and score a model; -m runs a sweep: seqzoo train -m cell=lstm,gru
  seqzoo train resume=RUN_DIR             continue a run from its last checkpoint
  seqzoo learn RUN_DIR [FILE] [--follow]  a language model learns from text while it arrives, also standard input
  seqzoo check [OPTION=VALUE ...]         report every mistake at once, shapes, parameters and memory; reads no data
  seqzoo baseline [OPTION=VALUE ...]      scores of simple baselines: n-grams, CRF, nearest example, ...
  seqzoo evaluate RUN_DIR [split=test]    score the best weights of a run
  seqzoo predict RUN_DIR [TEXT ...]       predict for texts or the lines of standard input; --conll tags CoNLL files
  seqzoo explain RUN_DIR TEXT [--to DIR]  draw outputs, gates and attention over a text
  seqzoo demo [RUN_DIR ...]               try runs in the browser: text, sound, pictures and music
  seqzoo export RUN_DIR [--to onnx]       write the model as a file of ONNX or torch.export, in whole sequences or steps
  seqzoo push RUN_DIR OWNER/NAME          upload a run to the Hugging Face Hub, with a model card
  seqzoo serve RUN_DIR ...                answer HTTP requests with runs: predictions, streams, metrics
  seqzoo compare RUN_DIR ...              compare runs, averaged over seeds; --html writes a page with plots
  seqzoo diff RUN_DIR RUN_DIR             the options in which two runs differ
  seqzoo ladder [OPTION=VALUE ...]        how many steps back a cell remembers, on four tasks, in about a minute
  seqzoo languages [OPTION=VALUE ...]     which formal languages a cell learns, from regular to context-sensitive
  seqzoo gradients cell=A,B [--to DIR]    vanishing and exploding gradients: gradient norm by time lag
  seqzoo search OPTION=A,B [...]          Optuna samples options and prunes poor trials; --trials 20 --to DIR
  seqzoo list GROUP [PATTERN]             cells, backbones, encoders, tasks, data, learning, training, experiments, ...
  seqzoo info CELL                        paper, equations, options, states, parameters and BibTeX of a cell
  seqzoo info pretrained:NAME             card of a pretrained network; all commands take this name for a RUN_DIR
  seqzoo data fetch NAME                  download a data set and verify its checksum
  seqzoo completion SHELL                 a script that completes words with the tab key: bash, zsh or fish

  seqzoo COMMAND --help                   options of a command
"""
COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "train": train,
    "check": check,
    "baseline": baseline,
    "evaluate": evaluate,
    "predict": predict,
    "explain": explain,
    "demo": demo,
    "export": export,
    "push": push,
    "serve": serve,
    "compare": compare,
    "diff": diff,
    "ladder": ladder,
    "languages": languages,
    "learn": learn,
    "gradients": gradients,
    "search": search,
    "list": list_names,
    "info": info,
    "data": data,
    "completion": completion,
}


def main(arguments: list[str] | None = None) -> None:
    """Run one command. User errors are printed as one sentence each, with exit status 2; exceptions in user-defined
    parts are printed with their traceback and a sentence that names the part, with exit status 1.

    Args:
        arguments: of the command line; None: those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        if program("seqzoo") != "seqzoo":
            print(f"\nseqzoo is not on the PATH: use {program('seqzoo')} instead")
        return
    if arguments[0] == "--version":
        from seqzoo.contracts.version import __version__

        print(f"seqzoo {__version__}")
        return
    if arguments[0] == "complete":  # called by the scripts of `seqzoo completion`
        print(*candidates(" ".join(arguments[1:]), COMMANDS), sep="\n")
        return
    try:
        if arguments[0] not in COMMANDS:
            raise ConfigError([f"there is no command {arguments[0]!r}{closest(arguments[0], COMMANDS)}"])
        _refuse_several_processes(arguments)
        COMMANDS[arguments[0]](take_config_dirs(arguments[1:]))
        sys.stdout.flush()
    except SeqzooError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output has closed it, as `head` does
        _forget_output()
        sys.exit(1)
    except Exception as error:
        failure = failure_of_own_part(error)
        if failure is not None:
            print(printable_lines(failure.details), file=sys.stderr)
            print(f"seqzoo: {failure.sentence}", file=sys.stderr)
            sys.exit(1)
        if not isinstance(error, OSError):
            raise
        if error.filename is not None:
            _fail(SeqzooError(f"{error.filename}: {error.strerror}"))
        if error.errno not in FULL:
            raise
        _forget_output()
        _fail(SeqzooError(f"the output could not be written: {error.strerror}"))


def _refuse_several_processes(arguments: list[str]) -> None:
    """Raise ConfigError if torchrun started several processes for what a single one does."""
    command, *rest = arguments
    flags = [
        argument for argument in rest if argument.startswith("-") and not argument.startswith(("-cd", "--config-dir"))
    ]
    if started() == 1 or (command == "train" and not flags):
        return
    if rank() > 0:
        sys.exit()  # the first process reports it
    asked = " ".join([f"seqzoo {command}", *flags[:1]])
    share = f"torchrun started {started()} processes, which share the training of one run"
    raise ConfigError([f"{share}: start `{asked}` without torchrun"])


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Error numbers of output that cannot be written."""


def _forget_output() -> None:
    """Discard buffered output, whose flush would fail again when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: SeqzooError) -> NoReturn:
    mistakes = error.mistakes if isinstance(error, ConfigError) else [str(error)]
    mistakes = list(map(printable_lines, mistakes))
    if len(mistakes) == 1:
        print(f"seqzoo: {mistakes[0]}", file=sys.stderr)
    else:
        print(
            f"seqzoo: {len(mistakes)} mistakes", *(f"  - {mistake}" for mistake in mistakes), sep="\n", file=sys.stderr
        )
    sys.exit(2)
