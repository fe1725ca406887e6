"""Polyphonic music: a distribution over the notes of the next frame at every step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.masking import mask, zero_padding
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.note_notation import chords_of
from seqzoo.contracts.parts import Network, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.heads.frame_head import FrameHead
from seqzoo.network.heads.independent_notes import IndependentNotes
from seqzoo.network.heads.nade import Nade
from seqzoo.network.heads.rbm import Rbm
from seqzoo.network.locked_dropout import create_dropout
from seqzoo.tasks.example_lines import example_line

MOST_STEPS = 100_000
"""Maximum length of a continuation."""
CANDIDATES = 32
"""Harmonies of a melody of which the most probable one is chosen."""
SHOWN_STEPS = 4
NOTES_AT_ONCE = 4
"""Notes of a random frame."""


@dataclass(frozen=True)
class FrameSearch:
    """How frames are drawn.

    Args:
        temperature: divides the logits of the notes; 0: the likelier of both values of each note in turn.
        max_length: number of frames that follow a given piece.

    Raises:
        ValueError: an option is out of its range.
    """

    temperature: float = 1.0
    max_length: int = 64

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}: it is 0 (the likelier value of each note) or more")
        if not 1 <= self.max_length <= MOST_STEPS:
            raise ValueError(f"max_length is {self.max_length}: it must be between 1 and {MOST_STEPS:,}")


class Polyphony(Task):
    """Predicts the notes of each frame of a piece from the frames before it.

    The loss is the negative log-likelihood of frames, in nats. A piece of T frames has T - 1 targets: the frames 2 to
    T, as in Bai et al. 2018; Boulanger-Lewandowski et al. 2012 also count the first frame, which nothing precedes. The
    mean is over the targets of all pieces, so that long pieces count more.

    An answer is a list of chords, the most probable one at each step: of a head with dependent notes, each note is the
    likelier one given those chosen before. Its score is the log-probability of all of them; 0 with an RBM.

    Source: Boulanger-Lewandowski, Bengio & Vincent, Modeling Temporal Dependencies in High-Dimensional Sequences:
    Application to Polyphonic Music Generation and Transcription, 2012, https://arxiv.org/abs/1206.6392
    Bai, Kolter & Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling,
    2018, https://arxiv.org/abs/1803.01271

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        head: independent: a sigmoid per note; nade: each note depends on the higher ones of its frame; rbm: a
            restricted Boltzmann machine, whose loss outside training is an upper bound (`frame_nll_bound`).
        hidden_size: number of hidden units of nade and rbm.
        gibbs_steps: steps of Gibbs sampling in contrastive divergence.
        annealing_steps: see `Rbm`.
        dropout: dropout on the features before the head.
        locked: use one dropout mask for all steps of a row.
        search: how pieces are continued.

    Raises:
        ValueError: an option is out of its range, or `metrics` has one that the head does not allow.

    Shape:
        Scores: (B, T, O), features.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "locked": "dropout>0",
        "hidden_size": "head=nade,rbm",
        "gibbs_steps": "head=rbm",
        "annealing_steps": "head=rbm",
    }

    reads = "polyphony"
    example_answers = (["C4+E4+G4"],)
    loss_unit = "nats"
    needs_causal = True
    needs_every_step = True
    legend = "last chords -> next chord   (target: the chord of the piece, where it differs)"

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[MetricName],
        head: Literal["independent", "nade", "rbm"] = "independent",
        hidden_size: int = 150,
        gibbs_steps: int = 5,
        annealing_steps: int = 100,
        dropout: float = 0.0,
        locked: bool = False,
        search: FrameSearch = FrameSearch(),
    ):
        super().__init__()
        for name, value in {
            "hidden_size": hidden_size,
            "gibbs_steps": gibbs_steps,
            "annealing_steps": annealing_steps,
        }.items():
            if value < 1:
                raise ValueError(f"{name}={value} is too small: it must be at least 1")
        if head == "rbm" and "frame_nll" in metrics:
            raise ValueError("metrics names frame_nll, which cannot be computed for head=rbm: name frame_nll_bound")
        self.spec, self.metric_names, self.search = spec, metrics, search
        self.dropout = create_dropout(dropout, locked)
        self.head: FrameHead
        if head == "nade":
            self.head = Nade(feature_size, spec.output_size, hidden_size)
        elif head == "rbm":
            self.head = Rbm(feature_size, spec.output_size, hidden_size, gibbs_steps, annealing_steps)
            self.loss_unit = ""
        else:
            self.head = IndependentNotes(feature_size, spec.output_size)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return features.outputs

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        lengths = batch.lengths if batch.padded else None
        losses = self.head.loss(self.dropout(scores), zero_padding(batch.required_targets, lengths))
        return Loss(zero_padding(losses, lengths).sum(), batch.lengths.sum())

    def example_batch(self, rows: int, steps: int, numbers: bool = False) -> Batch:
        frames = (torch.rand(rows, steps + 1, self.spec.output_size) < NOTES_AT_ONCE / self.spec.output_size).float()
        return replace(super().example_batch(rows, steps, numbers), inputs=frames[:, :-1], targets=frames[:, 1:])

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    @torch.no_grad()
    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        outputs = model.scores(batch, features)
        frames = self.head.draw(outputs, temperature=0.0)
        scores: list[float | None] = [None] * batch.size
        if self.head.exact:
            of_steps = self.head.log_probability(outputs, frames)
            scores = of_steps.masked_fill(~mask(batch.lengths, outputs.shape[1]), 0.0).sum(1).tolist()
        return [*map(Prediction, chords_of(frames, batch.lengths), scores)]

    def candidates(self, model: Network, batch: Batch, n_best: int) -> list[list[Prediction]]:
        """Continue each row `n_best` times, the likeliest continuation first."""
        batch = batch.map(lambda tensor: tensor.repeat_interleave(n_best, 0))
        frames, scores = self.draw(model, batch, self.search.max_length)
        chords = chords_of(frames, torch.full((batch.size,), frames.shape[1]))
        drawn = [*zip(chords, scores.tolist(), strict=True)]
        rows = [drawn[start : start + n_best] for start in range(0, batch.size, n_best)]
        return [[Prediction(*pair) for pair in sorted(row, key=lambda pair: -pair[1])] for row in rows]

    def continued(self, model: Network, batch: Batch) -> list[Tensor]:
        """The frames that follow each row, (U, K)."""
        return [*self.draw(model, batch, self.search.max_length)[0]]

    def harmonised(self, model: Network, batch: Batch) -> list[Tensor]:
        """Frames (T, K) with the melody of each row, the highest note of each of its steps, and voices below it. They
        follow a silent frame. Nothing is given at a step where the row is silent. Of `CANDIDATES` drawn pieces the most
        probable one is returned, since a piece that begins badly rarely recovers.
        """
        pieces = []
        for row, length in zip(batch.inputs, batch.lengths.tolist(), strict=True):
            given = row[:length].expand(CANDIDATES, -1, -1)
            rest = Batch(torch.zeros_like(given[:, :1]), given.new_ones(CANDIDATES, dtype=torch.long), padded=False)
            frames, scores = self.draw(model, rest, length, melody(given))
            pieces.append(frames[scores.argmax()])
        return pieces

    @torch.no_grad()
    def draw(self, model: Network, batch: Batch, steps: int, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw frames that follow those of a batch.

        Args:
            model: the model of this task.
            batch: (B, T, K) inputs.
            steps: U, the number of frames.
            given: (B, U, K), 1 where a note sounds, 0 where it does not, -1 where it is to be drawn; None: all are.

        Returns:
            Frames (B, U, K) and the log-probability of those of each row, (B,); 0 with an RBM.
        """
        features = model.encode(batch)
        output, state = features.last, features.state
        frames: list[Tensor] = []
        scores = output.new_zeros(batch.size)
        for step in range(steps):
            frames.append(self.head.draw(output, self.search.temperature, None if given is None else given[:, step]))
            if self.head.exact:
                scores = scores + self.head.log_probability(output, frames[-1])
            if step + 1 < steps:
                output, state = model.step(frames[-1], state)
        return torch.stack(frames, 1), scores

    def references(self, batch: Batch) -> list:
        return chords_of(batch.required_targets, batch.lengths)

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: the last chords -> the prediction   (target: the chord of the piece, where it differs)."""
        rows = chords_of(batch.inputs, batch.lengths)
        references = [None] * batch.size if batch.targets is None else self.references(batch)
        lines = []
        for row, prediction, reference in zip(rows, predictions, references, strict=True):
            answer = prediction.answer[-1]
            target = None if reference is None or reference[-1] == answer else reference[-1]
            before = "... " * (len(row) > SHOWN_STEPS) + " ".join(row[-SHOWN_STEPS:])
            lines.append(example_line(before, answer, target))
        return lines


def melody(frames: Tensor) -> Tensor:
    """The highest note of each frame as a constraint of `Polyphony.draw`: it sounds, and none above it does; nothing is
    known of the others, and of frames without notes.

    Args:
        frames: (..., K), 1 where a note sounds.
    """
    above = frames.flip(-1).cumsum(-1).flip(-1) - frames  # notes that sound above each note
    highest, higher = (frames > 0) & (above == 0), (above == 0) & (frames == 0)
    higher &= frames.any(-1, keepdim=True)
    return torch.full_like(frames, -1).masked_fill(higher, 0).masked_fill(highest, 1)
