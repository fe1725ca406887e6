"""Chord progressions in four voices."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from seqzoo.contracts.note_notation import KEYS, LOWEST
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.music import Music
from seqzoo.data.sources.notes import Piece
from seqzoo.data.splits import split_sizes

Chord = tuple[int, ...]
SCALE = (0, 2, 4, 5, 7, 9, 11)
FOLLOWING = {0: (1, 3, 4, 5), 1: (4,), 3: (0, 1, 4), 4: (0, 5), 5: (1, 3)}
"""Degrees of a major scale, from 0, that may follow each other."""
DURATIONS = (1, 2, 2, 4)
BASS, ALTO = 40, 62
"""The lowest bass note, and the middle of the first three upper voices."""


@dataclass(eq=False, kw_only=True)
class ChordProgressions(Music):
    """Triads of a major key, which follow each other as in simple songs and end on the tonic. Upper voices move as
    little as they can; the bass has the root.

    Args:
        steps: number of frames of a piece.
    """

    steps: int = 40
    train_size: int = 200
    validation_size: int = 50
    test_size: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 8:
            raise ValueError(f"steps={self.steps} is too small: the shortest piece has 8 frames")

    def read(self) -> dict[str, list[Piece]]:
        splits = distinct_splits(self._draw, split_sizes(self))
        return {
            split: [_piece(chords, f"{split} piece {number}") for number, chords in enumerate(pieces, start=1)]
            for split, pieces in splits.items()
        }

    def _draw(self, count: int, seed: int) -> list[tuple[Chord, ...]]:
        generator = random.Random(seed)
        return [progression(generator, self.steps) for _ in range(count)]


def progression(generator: random.Random, steps: int) -> tuple[Chord, ...]:
    """Draw a progression: the MIDI notes of each frame, from the bass to the soprano."""
    tonic, degree = generator.randrange(12), 0
    upper: Chord = (ALTO - 4, ALTO, ALTO + 4)
    frames: list[Chord] = []
    while len(frames) < steps:
        if len(frames) >= steps - 2:
            degree = 0
        triad = [(tonic + SCALE[(degree + third) % 7]) % 12 for third in (0, 2, 4)]
        bass = BASS + (triad[0] - BASS) % 12
        upper = nearest(triad, upper)
        frames += [(bass, *upper)] * generator.choice(DURATIONS)
        degree = generator.choice(FOLLOWING[degree])
    return tuple(frames[:steps])


def nearest(triad: list[int], voices: Chord) -> Chord:
    """The voicing of a triad, given as pitch classes, that moves three voices least, and stays in their range."""
    voicings = []
    for inversion in range(3):
        classes = [*triad[inversion:], *triad[:inversion]]
        for lowest in range(ALTO - 10, ALTO + 4):
            if lowest % 12 == classes[0]:
                middle = lowest + (classes[1] - lowest) % 12
                voicings.append((lowest, middle, middle + (classes[2] - middle) % 12))
    return min(voicings, key=lambda v: (sum(abs(a - b) for a, b in zip(v, voices, strict=True)), abs(v[1] - ALTO), v))


def _piece(chords: tuple[Chord, ...], where: str) -> Piece:
    frames = torch.zeros(len(chords), KEYS, dtype=torch.uint8)
    for step, notes in enumerate(chords):
        frames[step, [note - LOWEST for note in notes]] = 1
    return Piece(frames, where)
