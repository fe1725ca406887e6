"""Tasks that generate their answers token by token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seqzoo.contracts.batch import END, Batch, Features, State
from seqzoo.contracts.capabilities import Writes
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS
from seqzoo.tasks.decoding import Search, Start, Step
from seqzoo.tasks.writing import WritingTask, token_scores

CODEC = TextCodec.learn("characters", ["ab"], TARGET_SPECIALS)
A, B = CODEC.encode("ab")
SPEC = DataSpec("transduction", CODEC.size, CODEC.size, CODEC, CODEC)
BATCH = Batch(torch.tensor([[A, B]]), torch.tensor([2]))


class Alternating(WritingTask):
    """Prefers to alternate between a and b, and to end after two tokens; `share` is the probability of that."""

    def __init__(self, share: float, search: Search) -> None:
        super().__init__()
        self.spec, self.share, self.search = SPEC, share, search

    @property
    def end(self) -> int:
        return END

    def _scores(self, preferred: int, other: int, rows: int) -> Tensor:
        probabilities = torch.zeros(rows, CODEC.size)
        probabilities[:, preferred], probabilities[:, other] = self.share, 1 - self.share
        return probabilities.log()

    def start(self, features: Features, batch: Batch) -> Start:
        return Start(self._scores(A, B, batch.size), (torch.zeros(batch.size, 1),))

    def step(self, model: Any) -> Step:
        def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
            steps = state[0] + 1
            rows = [
                self._scores(END, A, 1) if count > 1 else self._scores(B, A, 1) if last == A else self._scores(A, B, 1)
                for last, count in zip(token.tolist(), steps[:, 0].tolist(), strict=True)
            ]
            return torch.cat(rows), (steps,)

        return step


class Model:
    def __init__(self, share: float = 0.75, search: Search = Search(max_length=4)) -> None:  # noqa: B008 (frozen)
        self.task = Alternating(share, search)

    def encode(self, batch: Batch) -> Features:
        return Features(torch.zeros(batch.size, 2, 1), torch.zeros(batch.size, 1), (), batch.lengths)


def test_a_start_and_a_step_give_answers_candidates_and_streams() -> None:
    model, pieces = Model(), []
    assert isinstance(model.task, Writes)
    [best] = model.task.decode(model, BATCH)
    assert best.answer == "ab"
    assert best.score == pytest.approx(3 * torch.tensor(0.75).log().item())
    [candidates] = model.task.candidates(model, BATCH, 3)
    assert candidates[0].answer == "ab"
    assert len({candidate.answer for candidate in candidates}) == 3
    assert model.task.stream(model, BATCH, pieces.append) == best
    assert "".join(pieces) == "ab"
    assert len(pieces) == 3


def test_an_ensemble_averages_probabilities() -> None:
    model, other = Model(0.75), Model(0.25)
    [[best]] = model.task.candidates(model, BATCH, 1, [(other, BATCH), (Model(0.8), BATCH)])
    assert best.answer == "ab"
    assert best.score == pytest.approx(3 * torch.tensor(0.6).log().item())


def test_an_empty_batch_has_no_answers() -> None:
    model = Model()
    assert model.task.decode(model, BATCH.first(0)) == []


def test_scores_of_tokens_end_with_their_row() -> None:
    [one, two] = token_scores(CODEC, [[A], [B, END]], torch.tensor([[-1.0, 0.0], [-2.0, -3.0]]))
    assert [(score.token, score.score) for score in one] == [("a", -1.0)]
    assert [(score.token, score.score) for score in two] == [("b", -2.0), ("<eos>", -3.0)]
