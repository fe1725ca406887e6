"""Predict with a finished run."""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from seqzoo.commands.command_line import find_modules_here
from seqzoo.commands.predict_options import chosen_options, task_options
from seqzoo.contracts.errors import ConfigError, DataError, printable_lines
from seqzoo.contracts.span_notation import convert
from seqzoo.contracts.strict_json import to_json

if TYPE_CHECKING:
    from seqzoo.contracts.batch import Explanation, Prediction
    from seqzoo.contracts.capabilities import ScoredTree
    from seqzoo.runs.loaded import Loaded

T = TypeVar("T")

MUSIC, PICTURES = (".mid", ".midi", ".wav"), (".png", ".svg", ".pdf")
"""The suffixes of files of music, and of its pictures."""
MOST_FAILURES = 10
"""Number of texts without an answer after which the command ends if there has been no answer at all."""


def predict(arguments: list[str]) -> None:
    """Print a prediction for each text."""
    chosen = chosen_options(arguments)
    if chosen.allow_module:
        find_modules_here()
    import torch

    from seqzoo.runs.loading import load

    if chosen.attention is not None or chosen.plot is not None:
        from seqzoo.inspection.drawing import need_matplotlib

        need_matplotlib()
    options = task_options(chosen.set)
    loaded = load(chosen.run_dir, chosen.device, chosen.allow_module, options, chosen.beside, chosen.lm)
    torch.manual_seed(chosen.seed)
    failures = _Failures(chosen.json)
    texts = _series_of(loaded, chosen.text, failures) if chosen.series else chosen.text or _lines_of_input()
    if chosen.conll:
        files = _lines_of_files(chosen.text, str(loaded.config.data.get("encoding", "auto")))
        for line in _tagged_conll(loaded, files, chosen.columns, chosen.scheme):
            _write(line, flush=sys.stdout.isatty())
    elif chosen.score:
        _in_turn(texts, 64, partial(_print_scores, loaded, chosen.json), failures)
    elif chosen.to or chosen.harmonise:
        _check_suffixes(chosen.to)
        _in_turn(texts, 1, partial(_compose, loaded, chosen), failures)
    elif chosen.stream:
        _stream(loaded, chosen.text, failures)
    else:
        _print_predictions(loaded, texts, chosen, failures)
    if failures.count:
        sys.exit(2)


class _Failures:
    """Texts without an answer. Their errors are printed, and the other texts are answered."""

    def __init__(self, as_json: bool):
        self.as_json, self.count = as_json, 0

    def report(self, error: DataError) -> None:
        self.count += 1
        print(f"seqzoo: {printable_lines(str(error))}", file=sys.stderr)

    def write_line(self, text: Any, error: DataError) -> None:
        """Write the line of a text without an answer, so that lines of inputs and outputs correspond."""
        self.report(error)
        _write(to_json({"input": _named(text), "error": str(error)}) if self.as_json else "")


def _in_turn(texts: Iterable[T], size: int, answer: Callable[[list[T], int], None], failures: _Failures) -> None:
    """Answer texts in pieces; if a piece has a text without an answer, one by one.

    Args:
        texts: the texts.
        size: of a piece.
        answer: prints the answers to some texts; the second argument is the number of the first one.
        failures: of the texts that cannot be answered.
    """
    done = answered = 0
    for some in _in_pieces(texts, size):
        try:
            answer(some, done + 1)
            answered += len(some)
        except DataError:
            for number, text in enumerate(some, start=done + 1):
                try:
                    answer([text], number)
                    answered += 1
                except DataError as error:
                    if failures.count == MOST_FAILURES and not answered:
                        raise
                    failures.write_line(text, error)
        done += len(some)


def _print_predictions(loaded: Loaded, texts: Iterable[Any], chosen: argparse.Namespace, failures: _Failures) -> None:
    """Print the best answers to each text, with explanations if requested, and draw attention."""
    import torch

    unknown = tokens = 0

    def answer(some: list[Any], first: int) -> None:
        nonlocal unknown, tokens
        # the random state is restored, so that attention is drawn for the same samples
        with torch.random.fork_rng(range(torch.cuda.device_count()), enabled=chosen.attention is not None):
            rows = loaded.candidates(some, chosen.n_best, first_line=first)
        if chosen.attention is not None:
            _draw_attention(loaded, some, chosen.attention, first)
        if chosen.plot is not None:
            _draw_plots(loaded, some, chosen.plot, first)
        explanations: list[list[Explanation | None]] = [[None] * len(row) for row in rows]
        if chosen.explain:
            explanations = loaded.explain_candidates(some, chosen.n_best, first_line=first)
        trees = loaded.labelled_trees(some, first_line=first) if chosen.tree else [None] * len(some)
        unknown, tokens = (a + b for a, b in zip((unknown, tokens), loaded.count_unknown(some, first), strict=True))
        for text, row, explained, tree in zip(some, rows, explanations, trees, strict=True):
            for prediction, explanation in zip(row, explained, strict=True):
                if chosen.series and not chosen.json and not isinstance(prediction.answer, str):
                    _show_steps(loaded, _named(text), prediction.answer, with_header=text is some[0] and first == 1)
                else:
                    _show(_named(text), prediction, explanation, tree, chosen.json)

    _in_turn(texts, 1 if sys.stdin.isatty() else 64, answer, failures)
    if unknown:
        print(f"seqzoo: {unknown:,} of {tokens:,} tokens are not in the vocabulary of the run", file=sys.stderr)


def _named(text: Any) -> str:
    """An input as it is named in the output: a text, or the place of a series."""
    return text if isinstance(text, str) else text.where


def _show_steps(loaded: Loaded, name: str, answers: list[str], *, with_header: bool) -> None:
    """Print the answers to the steps of a series, one per line, with columns separated by tabs."""
    from seqzoo.contracts.capabilities import Forecasts

    if with_header:
        channels, size = loaded.spec.channels, loaded.spec.output_size
        forecasts = isinstance(loaded.model.task, Forecasts) and channels is not None
        _write("\t".join(["series", "step", " ".join(channels.names[:size]) if channels and forecasts else "answer"]))
    for step, answer in enumerate(answers, start=1):
        _write(f"{name}\t{step}\t{answer}", flush=sys.stdout.isatty())


def _check_suffixes(paths: list[Path]) -> None:
    """Raise ConfigError if files of music or of its pictures cannot be written."""
    from seqzoo.inspection.drawing import need_matplotlib

    for path in paths:
        if path.suffix not in (*MUSIC, *PICTURES):
            raise ConfigError([f"--to is {path}: give it one of the suffixes {', '.join((*MUSIC, *PICTURES))}"])
        if path.suffix in PICTURES:
            need_matplotlib()


def _compose(loaded: Loaded, chosen: argparse.Namespace, texts: list[str], first: int) -> None:
    """Continue or harmonise a text; print it where no file is given."""
    import torch

    from seqzoo.contracts import disk
    from seqzoo.contracts.note_notation import chords_of
    from seqzoo.inspection.drawing import save
    from seqzoo.inspection.synthesizer import wav_of

    for number, text in enumerate(texts, start=first):
        [piece] = loaded.compose([text], chosen.harmonise, number)
        if not chosen.to:
            _write(" ".join(chords_of(piece.frames[None], torch.tensor([len(piece.frames)]))[0]))
        for path in chosen.to:
            file = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
            if path.suffix in PICTURES:
                save(piece.draw(), file)
            else:
                content = wav_of(piece.sound) if path.suffix == ".wav" else piece.midi
                try:
                    disk.write_bytes(file, content)
                except OSError as error:
                    raise ConfigError([f"{file} cannot be written: {error.strerror or error}"]) from error
            print(f"wrote {file}", file=sys.stderr)


def _stream(loaded: Loaded, texts: list[str], failures: _Failures) -> None:
    """Print answers while they are generated or, if the task answers a growing input, while standard input, or each
    text, is read.
    """
    from seqzoo.contracts.capabilities import Writes
    from seqzoo.data.sources.sound import sound_chunks

    if isinstance(loaded.model.task, Writes):
        _in_turn(texts or _lines_of_input(), 1, partial(_generate, loaded), failures)
        return
    inputs: Iterable[Iterable[Any]] = [[text] for text in texts] or [_lines_of_input()]
    if loaded.spec.rate is not None:
        inputs = [sound_chunks(name, loaded.spec.rate, loaded.spec.input_size) for name in texts or ["-"]]
    _in_turn(inputs, 1, partial(_follow, loaded), failures)


def _generate(loaded: Loaded, texts: list[str], first: int) -> None:
    for text in texts:
        loaded.generate(text, lambda piece: _write(piece, end=""))
        print(flush=True)


def _follow(loaded: Loaded, inputs: list[Iterable[Any]], first: int) -> None:
    """Print the answers to growing inputs: the pieces of a text one after the other, others in a line per piece."""
    is_text = any(isinstance(answer, str) for answer in loaded.model.task.example_answers or ())

    def show(answers: list[str]) -> None:
        if is_text:
            _write("".join(answers), end="")
        elif answers:
            _write(" ".join(answers))

    for pieces in inputs:
        stream = loaded.stream()
        for piece in pieces:
            show(stream.push(piece).answers)
        show(stream.end().answers)
        if is_text:
            print(flush=True)


def _print_scores(loaded: Loaded, as_json: bool, texts: list[str], first: int) -> None:
    from seqzoo.contracts.capabilities import ScoresAnswers

    if isinstance(loaded.model.task, ScoresAnswers):
        sources, answers = _apart(texts, first)
        scores = loaded.score(sources, answers, first_line=first)
    else:
        scores = loaded.score(texts, first_line=first)
    for text, tokens in zip(texts, scores, strict=True):
        total = sum(token.score for token in tokens)
        if as_json:
            _write(to_json({"input": text, "score": total, "tokens": tokens}))
        else:
            print(f"{total:.4f}", flush=True)


def _apart(lines: list[str], first: int) -> tuple[list[str], list[str]]:
    """Split lines into sources and the answers after the tab."""
    for number, line in enumerate(lines, start=first):
        if line.count("\t") != 1:
            raise DataError(f"line {number} has {line.count(chr(9))} tabs: write the source, one tab, and the answer")
    sources, answers = zip(*(line.split("\t") for line in lines), strict=True)
    return list(sources), list(answers)


def _show(
    text: str, prediction: Prediction, explanation: Explanation | None, tree: ScoredTree | None, as_json: bool
) -> None:
    answer = prediction.answer
    if as_json:
        content: dict[str, Any] = {"input": text, "prediction": answer, "score": prediction.score}
        if explanation is not None:
            weights = zip(explanation.read, explanation.weights.tolist(), strict=True)
            content["explanation"] = {"method": explanation.method, "weights": [list(pair) for pair in weights]}
        if tree is not None:
            nodes = zip(*tree.tree, tree.probabilities, strict=True)
            content["nodes"] = [
                {"word": word, "parent": parent, "label": label, "probability": probability}
                for word, parent, label, probability in nodes
            ]
        _write(to_json(content))
        return
    _write(answer if isinstance(answer, str) else " ".join(answer))
    if explanation is not None:
        from seqzoo.inspection.drawing import coloured, plain

        words = coloured(explanation) if sys.stdout.isatty() else plain(explanation)
        print(f"    {words}   ({explanation.method})", flush=True)
    if tree is not None:
        from seqzoo.inspection.tree_drawing import tree_lines

        for line in tree_lines(tree):
            _write(f"    {line}")


def _write(text: str, end: str = "\n", flush: bool = True) -> None:
    """Write text to standard output; on a terminal, control characters are escaped."""
    print(printable_lines(text) if sys.stdout.isatty() else text, end=end, flush=flush)


def _tagged_conll(
    loaded: Loaded, inputs: Iterable[Iterable[str]], columns: str | None, scheme: str | None
) -> Iterator[str]:
    """The lines of each input with tags."""
    from seqzoo.configuration.building import task_name
    from seqzoo.data.sources.conll import Column, Conll, begin_as_conllu, token_and_tag
    from seqzoo.network import results

    trained_on = loaded.config.data
    task = loaded.model.task
    labels_steps = task.needs_every_step and not any(isinstance(answer, str) for answer in task.example_answers or ())
    if not (labels_steps and results.classes_of(task, task.classes()) and loaded.spec.inputs is not None):
        named = task_name(task, loaded.config.choices)
        raise ConfigError([f"--conll writes a tag for each token, and the run, of {named}, has none to give"])
    if columns is None:
        token, tag = token_and_tag(trained_on.get("columns", {}))
    else:
        places: list[Column] = [
            int(name) if re.fullmatch("-?[0-9]{1,4}", name) else name for name in columns.split(",")
        ]
        if len(places) != 2:
            raise ConfigError([f"--columns is {columns!r}: give two, as in --columns form,upos or --columns 0,-1"])
        token, tag = places
    for file in inputs:
        conllu, lines = begin_as_conllu(file, str(trained_on.get("train", "")))
        conll = Conll(token, tag, conllu)
        for some in _in_pieces(conll.read(lines), 64):
            tokens = [sentence.tokens for sentence in some if sentence.tokens]
            predictions = iter(loaded.predict(tokens) if tokens else [])
            for sentence in some:
                tags = list(next(predictions).answer) if sentence.tokens else []
                yield from conll.write(sentence, convert(tags, scheme) if scheme else tags)


def _series_of(loaded: Loaded, files: list[str], failures: _Failures) -> list[Any]:
    """The series of files, which are read as those of the training were. A file that cannot be read has no lines."""
    from seqzoo.configuration.building import build_data
    from seqzoo.data.files.series_base import SeriesData

    data = build_data(loaded.config)
    if not isinstance(data, SeriesData):
        raise ConfigError(["--series reads files for a model of series, and the run was not trained on such files"])
    if not files:
        raise ConfigError(["--series needs a file: name one or more after the run directory"])
    series = []
    for file in files:
        try:
            series += data.read_unlabelled(file)
        except DataError as error:
            if len(files) == 1:
                raise
            failures.report(error)
    return series


def _draw_plots(loaded: Loaded, inputs: list[Any], path: Path, first: int) -> None:
    """Draw the answer to each input: a tree, or a forecast."""
    from seqzoo.contracts.capabilities import LabelsTrees
    from seqzoo.inspection.forecast_drawing import draw_forecast
    from seqzoo.inspection.tree_drawing import draw_tree

    figures: list[Any]
    if isinstance(loaded.model.task, LabelsTrees):
        trees = loaded.labelled_trees(inputs, first_line=first)
        figures = [tree and draw_tree(tree) for tree in trees]
    else:
        figures = [draw_forecast(outlook) for outlook in loaded.outlooks(inputs, first_line=first)]
    for number, figure in enumerate(figures, start=first):
        if figure is not None:
            _save_picture(figure, path, number)


def _draw_attention(loaded: Loaded, texts: list[str], path: Path, first: int) -> None:
    from seqzoo.inspection.drawing import draw

    alignments = loaded.alignments(texts, first_line=first)
    for number, alignment in enumerate(alignments, start=first):
        if alignment is not None:
            _save_picture(draw(alignment), path, number)


def _save_picture(figure: Any, path: Path, number: int) -> None:
    """Save the picture of a text, with its number in the name from the second one on."""
    from seqzoo.inspection.drawing import save

    picture = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
    save(figure, picture)
    # standard output only has predictions
    print(f"wrote {picture}", file=sys.stderr)


def _lines_of_input() -> Iterator[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="strict")  # as files are read, whatever the locale
    try:
        for line in sys.stdin:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"standard input is not {error.encoding} (byte 0x{error.object[error.start]:02x}): convert it, as in: "
            "iconv -f latin1 -t utf-8"
        ) from None


def _lines_of_files(paths: list[str], encoding: str) -> Iterator[Iterable[str]]:
    """The lines of each file, or those of standard input without any; encoding: that of the training, or auto."""
    from seqzoo.data.sources.encodings import AUTO, find_encoding
    from seqzoo.data.sources.reading import read_lines

    if not paths:
        yield _lines_of_input()
    for path in paths:
        yield read_lines(path, find_encoding(path) if encoding == AUTO else encoding)


def _in_pieces(texts: Iterable[T], size: int) -> Iterator[list[T]]:
    piece: list[T] = []
    for text in texts:
        piece.append(text)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece
