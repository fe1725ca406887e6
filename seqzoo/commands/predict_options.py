"""The options of `seqzoo predict`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seqzoo.commands.command_line import add_allow_module
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.span_notation import SCHEMES

PRINTING = ("--json", "--n-best", "--attention", "--plot", "--explain", "--tree", "--series")
"""The flags of predictions that are printed."""
OF_CONLL = ("--columns", "--scheme")
OTHERWISE = {
    "--conll": ("writes files with their predicted tags", OF_CONLL),
    "--score": ("prints log-probabilities of given texts", ("--json",)),
    "--stream": ("writes each answer while it is generated", ("--lm",)),
    "--to": ("writes music to files", ("--harmonise",)),
    "--harmonise": ("writes voices below a melody", ("--to",)),
}
"""The flags that replace printed predictions -> what they do instead, and the flags that can be given with them."""


def chosen_options(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments of the command.

    Raises:
        ConfigError: one flag would be ignored because of another one.
    """
    parser = argparse.ArgumentParser(
        "seqzoo predict", description="Predict with the best weights of a run; one output line per text."
    )
    parser.add_argument("run_dir", type=Path, help="a run directory, or pretrained:NAME")
    parser.add_argument("text", nargs="*", help="texts, or files with --conll and --series; default: standard input")
    for add in (_add_answers, _add_pictures, _add_files, _add_music, _add_machine):
        add(parser)
    chosen = parser.parse_intermixed_args(arguments)
    _check_combination(parser, chosen)
    return chosen


def _check_combination(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    """Raise ConfigError if one flag would be ignored because of another one."""

    def is_given(flag: str) -> bool:
        name = flag.removeprefix("--").replace("-", "_")
        return getattr(chosen, name) != parser.get_default(name)

    for flag in filter(is_given, OTHERWISE):
        does, fitting = OTHERWISE[flag]
        for other in filter(is_given, (*PRINTING, *OTHERWISE, *OF_CONLL, "--lm")):
            if other not in (flag, *fitting):
                raise ConfigError([f"{flag} {does}, so that {other} would have no effect: leave one of them out"])
    for flag in filter(is_given, OF_CONLL):
        if not chosen.conll:
            raise ConfigError([f"{flag} has no effect without --conll: add --conll, or leave {flag} out"])
    if chosen.score and any(text.removeprefix("task.").startswith("search.") for text in chosen.set):
        raise ConfigError(["--score computes probabilities without a search: leave --set search.... out"])


def task_options(texts: list[str]) -> dict[str, Any]:
    """Parse texts OPTION=VALUE, with values in YAML; the prefix `task.` may be omitted."""
    from omegaconf import OmegaConf

    for text in texts:
        if "=" not in text:
            raise ConfigError([f"--set is {text!r}: write OPTION=VALUE"])
    texts = [text.removeprefix("task.") for text in texts]
    return OmegaConf.to_container(OmegaConf.from_dotlist(texts))  # type: ignore[return-value]


def _add_answers(parser: argparse.ArgumentParser) -> None:
    """Which answers are given, and how they are printed."""
    group = parser.add_argument_group("answers")
    group.add_argument(
        "--json",
        action="store_true",
        help="JSON lines: input, prediction, score (log-probability in nats; null where there is none)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option of the task, such as search.temperature=0.5 or search.beam_size=5",
    )
    group.add_argument(
        "--with",
        dest="beside",
        action="append",
        default=[],
        type=Path,
        metavar="RUN_DIR",
        help="average the probabilities, or predicted numbers, with those of another run (an ensemble)",
    )
    group.add_argument(
        "--lm",
        type=Path,
        metavar="RUN_DIR",
        help="for transcription: add the scores of a language model (--set search.language_weight=0.5)",
    )
    group.add_argument(
        "--n-best",
        type=int,
        default=1,
        metavar="N",
        help="print the N best answers per text, best first, for tasks that search or classify",
    )
    group.add_argument(
        "--score",
        action="store_true",
        help="log-probability in nats: of each text for a language model; of the answer after a tab for tasks that "
        "rewrite texts or describe pictures; with --json also of each token",
    )
    group.add_argument(
        "--stream",
        action="store_true",
        help="print each continuation, translation, caption or transcript while it is generated; for tags, numbers and "
        "forecasts, standard input is one growing input, and each line is answered when it is read; of sound, it is "
        "WAV or raw 16 bit samples at the rate of the run",
    )


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    """What shows why an answer is given."""
    group = parser.add_argument_group("pictures and explanations")
    group.add_argument(
        "--attention",
        type=Path,
        metavar="PICTURE",
        help="draw the attention of the best answer as .png, .svg or .pdf; for a second text as PICTURE-2, and so on",
    )
    group.add_argument(
        "--plot",
        type=Path,
        metavar="PICTURE",
        help="draw each forecast with its bands, or each tree with its labels, as .png, .svg or .pdf; for a second "
        "input as PICTURE-2, and so on",
    )
    group.add_argument(
        "--explain",
        action="store_true",
        help="for classification: show below each class how much each word contributed: the attention weights if "
        "task.pooling has attention (the same for all classes), else gradient x input (red: against the class)",
    )
    group.add_argument(
        "--tree",
        action="store_true",
        help="for trees: draw each answer below it, with the probability of each node's label; with --json as `nodes`",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    """What reads and writes files in the form of the training data."""
    group = parser.add_argument_group("files")
    group.add_argument(
        "--conll",
        action="store_true",
        help="for tagging: read CoNLL or CoNLL-U, and write it with the predicted tags",
    )
    group.add_argument(
        "--columns",
        metavar="TOKEN,TAG",
        help="with --conll: zero-based indices or names (form,upos) of the two columns; default: as in training",
    )
    group.add_argument("--scheme", choices=SCHEMES, help="with --conll: scheme of tags that mark spans")
    group.add_argument(
        "--series",
        action="store_true",
        help="read series of numbers from files, in the form of the training files, which need no labels; print an "
        "answer per series, or a table with a row per step",
    )


def _add_music(parser: argparse.ArgumentParser) -> None:
    """What a model of music writes."""
    group = parser.add_argument_group("music")
    group.add_argument(
        "--to",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="for music: write the continued piece as .mid, .wav, or a piano roll (.png, .svg, .pdf); may be given "
        "several times; for a second text as FILE-2, and so on",
    )
    group.add_argument(
        "--harmonise",
        action="store_true",
        help="for music: keep the highest note of each step, and write the voices below it",
    )


def _add_machine(parser: argparse.ArgumentParser) -> None:
    """Where and how the model runs."""
    group = parser.add_argument_group("machine")
    group.add_argument("--device", default="cpu", help="cpu (default), cuda, or auto")
    group.add_argument("--seed", type=int, default=0, help="random seed of sampling")
    add_allow_module(group)
