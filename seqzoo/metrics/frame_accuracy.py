"""Accuracy of predicted notes. Answers and references are chords as text, one for each frame."""

from __future__ import annotations

import math

from seqzoo.contracts.note_notation import parse_chord
from seqzoo.metrics.answers import PredictionMetric, labels


class FrameAccuracy(PredictionMetric):
    """Notes that are right, as a share of those that are predicted, or sound, or both: TP / (TP + FP + FN) over all
    frames.

    Source: Bay, Ehmann & Downie, Evaluation of Multiple-F0 Estimation and Tracking Systems, 2009 (equation 1),
    https://archives.ismir.net/ismir2009/paper/000022.pdf

    Raises:
        ValueError: in `update`, an answer has another number of frames than its reference.
    """

    name = "frame_accuracy"

    def __init__(self) -> None:
        self.right = self.all = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, sounding in labels(answer, reference):
            answered, correct = set(parse_chord(predicted)), set(parse_chord(sounding))
            self.right += len(answered & correct)
            self.all += len(answered | correct)

    def compute(self) -> float:
        return self.right / self.all if self.all else math.nan
