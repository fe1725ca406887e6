"""Polyphonic music: a distribution over the notes of the next frame at every step."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.masking import mask, zero_padding
from seqzoo.contracts.note_notation import chords_of
from seqzoo.contracts.parts import Metric, Network, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.heads.frame_head import FrameHead
from seqzoo.network.heads.independent_notes import IndependentNotes
from seqzoo.network.heads.nade import Nade
from seqzoo.network.heads.rbm import Rbm
from seqzoo.network.locked_dropout import create_dropout

SHOWN_STEPS = 4
NOTES_AT_ONCE = 4
"""Notes of a random frame."""


class Polyphony(Task):
    """Predicts the notes of each frame of a piece from the frames before it.

    The loss is the negative log-likelihood of frames, in nats. A piece of T frames has T - 1 targets: the frames 2 to
    T, as in Bai et al. 2018. Boulanger-Lewandowski et al. 2012 also count the first frame, which nothing precedes and
    which costs more than the others. As in both, the mean is over the frames of all pieces.

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
    legend = "last chords -> next chord   (right: the chord of the piece, shown where the prediction differs from it)"

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
        self.spec, self.metric_names = spec, metrics
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
        scores = [0.0] * batch.size
        if self.head.exact:
            of_steps = self.head.log_probability(outputs, frames)
            scores = of_steps.masked_fill(~mask(batch.lengths, outputs.shape[1]), 0.0).sum(1).tolist()
        return [*map(Prediction, chords_of(frames, batch.lengths), scores)]

    def references(self, batch: Batch) -> list:
        return chords_of(batch.required_targets, batch.lengths)

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: the last chords -> the prediction   (right: the chord of the piece)."""
        rows = chords_of(batch.inputs, batch.lengths)
        references = [None] * batch.size if batch.targets is None else self.references(batch)
        lines = []
        for row, prediction, reference in zip(rows, predictions, references, strict=True):
            answer = prediction.answer[-1]
            correct = "" if reference is None or reference[-1] == answer else f"   (right: {reference[-1]})"
            before = " ".join(row[-SHOWN_STEPS:])
            lines.append(f"{'... ' if len(row) > SHOWN_STEPS else ''}{before} -> {answer}{correct}")
        return lines
