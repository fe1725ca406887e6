"""What a run answers to one input, and the forms in which the page shows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch

from seqzoo.contracts.batch import Prediction
from seqzoo.contracts.capabilities import Aligns, Composes, Explains, Forecasts, LabelsTrees, Ranks, Writes
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.sources.notes import SUFFIXES, given_frames
from seqzoo.data.sources.sound import read_header, read_sound
from seqzoo.inspection.drawing import LABELLED, draw, separator
from seqzoo.inspection.forecast_drawing import draw_forecast
from seqzoo.inspection.sound_drawing import draw_sound
from seqzoo.inspection.synthesizer import RATE
from seqzoo.inspection.tree_drawing import tree_lines
from seqzoo.network import results
from seqzoo.runs.composition import Composition
from seqzoo.runs.loaded import EMPTY, Loaded

LONGEST_TEXT, LONGEST_SOUND, LONGEST_MUSIC = 2000, 30, 512
"""Maximum number of characters of a text, of seconds of a recording, and of steps of a piece that is given."""
MOST_ANSWERS = 5
"""Maximum number of answers to one input."""
MOST_CLASSES = 10
"""Maximum number of classes whose probabilities are shown."""
OUTSIDE = "O"
"""The tag of tokens outside all spans, which are not coloured."""

Reads = Literal["text", "sound", "picture", "notes", "file"]


def read_by(spec: DataSpec) -> Reads:
    """The form of the inputs of a model.

    Raises:
        ConfigError: its inputs are pictures that only files of a data set hold.
    """
    if spec.rate is not None:
        return "sound"
    if spec.picture is not None:
        if not spec.given_as_files:
            raise ConfigError(["it reads pictures or clips of idx files, and no other files: leave the run out"])
        return "picture"
    if spec.given_as_files:
        return "file"
    return "text" if spec.steps_per_quarter is None else "notes"


MISSING: dict[Reads, str] = {
    "text": "write a text",
    "sound": "record a sound, or choose a file",
    "picture": "choose a picture",
    "notes": "write chords, such as C4+E4+G4 F4+A4+C5, or choose a file",
    "file": "choose a file",
}


@dataclass(frozen=True)
class Reply:
    """The answer of a run to one input; its parts are computed when they are first read.

    Args:
        loaded: the run.
        text: the input of a model of texts, numbers or chords.
        file: the input as a file that was uploaded; None: the text is the input.
        count: number of answers, 1 to MOST_ANSWERS.
        harmonise: write voices below the melody, where the task writes music.
        seed: random seed of sampling.

    Raises:
        DataError: the input is empty or too long, or too many answers are asked for.
    """

    loaded: Loaded
    text: str = ""
    file: str | None = None
    count: int = 1
    harmonise: bool = False
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        spec = self.loaded.spec
        form = read_by(spec)
        if self.file is None and (form not in ("text", "notes") or (form == "notes" and not self.text.strip())):
            raise DataError(f"the input is empty: {MISSING[form]}")
        if len(self.text) > LONGEST_TEXT:
            raise DataError(f"the text has {len(self.text):,} characters: write at most {LONGEST_TEXT:,}")
        if not 1 <= self.count <= MOST_ANSWERS:
            raise DataError(f"answers is {self.count}: choose a number from 1 to {MOST_ANSWERS}")
        if form == "sound":
            seconds = (header := read_header(self.given)).samples / header.rate
            if seconds > LONGEST_SOUND:
                raise DataError(f"the recording lasts {seconds:,.0f} seconds: give at most {LONGEST_SOUND}")
        if form == "notes":
            # a text must not name a file of the machine that the page comes from
            if self.file is None and any(chord.lower().endswith(SUFFIXES) for chord in self.text.split()):
                raise DataError("the text is the name of a file: write chords, or choose the file")
            steps = len(given_frames(self.given, spec.steps_per_quarter or 1))
            if steps > LONGEST_MUSIC:
                raise DataError(f"the piece has {steps:,} steps: give at most {LONGEST_MUSIC}")

    @property
    def given(self) -> str:
        """The input as the model reads it."""
        return self.text if self.file is None else self.file

    @cached_property
    def predictions(self) -> list[Prediction]:
        """The best answers."""
        with seeded(self.seed):
            [best] = self.loaded.candidates([self.given], self.count)
        if best == [EMPTY]:
            raise DataError(f"the input is empty: {MISSING['text']}")
        return best

    @cached_property
    def composition(self) -> Composition:
        """The piece that a model of music writes."""
        with seeded(self.seed):
            [piece] = self.loaded.compose([self.given], self.harmonise)
        return piece

    @cached_property
    def probabilities(self) -> dict[str, float] | None:
        """The probabilities of the best classes; None if answers are not classes or have no probabilities."""
        classes = _classes(self.loaded)
        if not classes or not isinstance(self.loaded.model.task, Ranks) or _labels_steps(self.loaded):
            return None
        with seeded(self.seed):
            [ranked] = self.loaded.candidates([self.given], min(len(classes), MOST_CLASSES))
        shares = {str(label): math.exp(score) for label, score in ranked if score is not None and score <= 0}
        return shares if ranked != [EMPTY] and 0 < sum(shares.values()) < 1.001 and len(shares) == len(ranked) else None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context with a random state of its own, so that attention is drawn for the samples that are shown."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _classes(loaded: Loaded) -> list[str]:
    return results.classes_of(loaded.model.task, loaded.model.task.classes())


def _labels_steps(loaded: Loaded) -> bool:
    """Whether each step of a text has a class."""
    return bool(loaded.model.task.needs_every_step and _classes(loaded) and loaded.spec.inputs is not None)


def _text(reply: Reply) -> str | None:
    """The answers, one per line; None where another view shows them."""
    if reply.probabilities is not None:
        return None
    answers = [answer if isinstance(answer, str) else " ".join(answer) for answer, _ in reply.predictions]
    return answers[0] if len(answers) == 1 else "\n".join(f"{rank}. {text}" for rank, text in enumerate(answers, 1))


def _tags(reply: Reply) -> list[tuple[str, str | None]]:
    """Tokens with their tags."""
    tokens = reply.loaded.model.task.labels_read(reply.loaded.read([reply.text], [1]))[0]
    tags = reply.predictions[0].answer
    space = separator(tokens)
    pairs = zip(tokens, tags, strict=True)
    return [(token + space, None if tag == OUTSIDE else tag) for token, tag in pairs]


def _weights(reply: Reply) -> list[tuple[str, float]] | None:
    """Tokens with their contributions to the best answer, the strongest of which is 1 or -1."""
    try:
        [explanation] = reply.loaded.explain([reply.given])
    except ConfigError:  # with its options, the model has none
        return None
    if explanation is None:
        return None
    strongest = float(explanation.weights.abs().max().clamp(min=1e-12))
    space = separator(explanation.read)
    pairs = zip(explanation.read, explanation.weights.tolist(), strict=True)
    return [(token + space, weight / strongest) for token, weight in pairs]


def _attention(reply: Reply) -> Any:
    try:
        with seeded(reply.seed):
            [alignment] = reply.loaded.alignments([reply.given])
    except ConfigError:  # with its options, the model has none
        return None
    return None if alignment is None or max(alignment.weights.shape) > LABELLED else draw(alignment)


def _tree(reply: Reply) -> str | None:
    [tree] = reply.loaded.labelled_trees([reply.given])
    return None if tree is None else "\n".join(tree_lines(tree))


def _forecast(reply: Reply) -> Any:
    return draw_forecast(reply.loaded.outlooks([reply.given])[0])


def _sound_read(reply: Reply) -> Any:
    return draw_sound(*read_sound(reply.given, reply.loaded.spec.rate))


class View(NamedTuple):
    """A form in which an answer is shown.

    Attributes:
        kind: what it consists of.
        label: its heading.
        suits: whether a run has this view.
        show: its content; None: there is none for this input.
    """

    kind: Literal["text", "scores", "tags", "weights", "picture", "sound"]
    label: str
    suits: Callable[[Loaded], bool]
    show: Callable[[Reply], Any]


def _can(*capabilities: Any) -> Callable[[Loaded], bool]:
    return lambda loaded: isinstance(loaded.model.task, capabilities)


VIEWS = (
    View("text", "answer", lambda run: not (_labels_steps(run) or _can(Composes, LabelsTrees, Forecasts)(run)), _text),
    View(
        "scores", "probability", lambda run: bool(_classes(run)) and not _labels_steps(run), lambda r: r.probabilities
    ),
    View("tags", "tags", lambda run: _labels_steps(run) and not _can(LabelsTrees)(run), _tags),
    View("weights", "contribution of each token", _can(Explains), _weights),
    View("text", "tree", _can(LabelsTrees), _tree),
    View("picture", "forecast", _can(Forecasts), _forecast),
    View("picture", "attention", lambda run: _can(Aligns)(run) and not _can(Explains)(run), _attention),
    View("sound", "sound", _can(Composes), lambda reply: (RATE, reply.composition.sound)),
    View("picture", "piano roll", _can(Composes), lambda reply: reply.composition.draw()),
    View("picture", "the sound that was read", lambda run: run.spec.rate is not None, _sound_read),
)
"""All views, in their order on the page."""


def views_of(loaded: Loaded) -> list[View]:
    """The views of a run."""
    return [view for view in VIEWS if view.suits(loaded)]


def several_answers(loaded: Loaded) -> bool:
    """Whether a run can be asked for more than one answer to an input."""
    return _can(Ranks, Writes)(loaded) and not _can(Composes)(loaded) and not _classes(loaded)
