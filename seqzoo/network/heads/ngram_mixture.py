"""A mixture of a network's distribution over the next token and that of n-grams of the training text."""

from __future__ import annotations

import numpy
import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import BEFORE, Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec, TrainingText
from seqzoo.network.heads.ngram_model import Ids, NgramModel

LONGEST = BEFORE + 1
"""Maximum length of n-grams, in tokens."""
ROUNDS = 50
"""Rounds of expectation maximisation."""
PRIOR = 10.0
"""Number of targets that count as predicted equally well by both models, for each length of context."""


class NgramMixture(nn.Module):
    """Mixes the probabilities of a network with those of n-grams with modified Kneser-Ney smoothing:

        p(w | h) = s_k p_network(w | h) + (1 - s_k) p_ngrams(w | h)

    k is the number of tokens of the n-gram's context that were seen in training, so that the n-grams have a larger
    share where they know more. The shares s_k, one half at first, are fitted on held-out text; the n-grams are counted
    when they are needed first. The training text is a buffer, so that checkpoints and weights contain it.

    Args:
        longest: the longest n-grams, in tokens.
        spec: of running text.

    Raises:
        ValueError: `longest` is out of its range, or the training text is unknown.

    Source: Mikolov et al., Empirical Evaluation and Combination of Advanced Language Modeling Techniques, 2011,
    https://www.isca-archive.org/interspeech_2011/mikolov11_interspeech.html; shares by context as in Jelinek & Mercer,
    Interpolated Estimation of Markov Source Parameters from Sparse Data, 1980.
    """

    text: Tensor
    share: Tensor

    def __init__(self, longest: int, spec: DataSpec):
        super().__init__()
        if not 1 <= longest <= LONGEST:
            raise ValueError(f"ngrams is {longest}: it must be from 1 to {LONGEST}, or 0 for none")
        if spec.inputs is not None and spec.text is None:
            raise ValueError(f"ngrams is {longest}: these data do not give their training text to count in; leave it 0")
        self.longest, self.vocabulary_size = longest, spec.output_size
        self.register_buffer("text", torch.zeros(0 if spec.text is None else spec.text.size, dtype=torch.int32))
        self.register_buffer("share", torch.full((longest,), 0.5))
        self._model: NgramModel | None = None
        if spec.text is not None:
            self._start_from(spec.text)

    def _start_from(self, counted: TrainingText) -> None:
        """Take over a text; does nothing in a finished run, whose weights hold it."""
        if counted.ids is None or counted.starts is None or self.text.is_meta:
            return
        ids = counted.ids.to(torch.int32)
        begins = torch.zeros(counted.size, dtype=torch.bool) if counted.separator is None else ids == counted.separator
        begins[counted.starts] = True
        begins[-1] = False  # the last id is a target only
        self.text.copy_(torch.where(begins, ~ids, ids))  # negative: a sequence begins

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        if not torch.equal(state_dict.get(f"{prefix}text", self.text).to(self.text), self.text):
            self._model = None
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @property
    def model(self) -> NgramModel:
        """The counts of the training text.

        Raises:
            DataError: the text is damaged.
        """
        if self._model is None:
            text = self.text.cpu().numpy().astype(numpy.int64)
            ids, starts = numpy.where(text < 0, ~text, text), numpy.flatnonzero(text < 0)
            if len(ids) < 2 or not len(starts) or ids.max() >= self.vocabulary_size:
                raise DataError(
                    "the training text in the weights of the model, which n-grams are counted in, is damaged"
                )
            ends = [*starts[1:], len(ids) - 1]
            texts = [ids[start : end + 1] for start, end in zip(starts, ends, strict=True)]
            self._model = NgramModel(texts, self.longest, self.vocabulary_size, self.longest)
        return self._model

    def of_targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The log-probability of each target by the n-grams, and the number of known tokens of its context, (B, T)."""
        targets = batch.required_targets
        ids = torch.cat([self._before(batch)[:, 1:], batch.inputs[:, :1], targets], 1)
        predicted = torch.arange(ids.shape[1]) >= ids.shape[1] - targets.shape[1]
        where = predicted.expand(ids.shape).numpy()
        probabilities, known = self.model.of_targets(_ids(ids), where, self.longest)
        logs = targets.new_tensor(numpy.log(probabilities), dtype=torch.float32)
        return logs.view_as(targets), targets.new_tensor(known).view_as(targets)

    def contexts(self, batch: Batch) -> Tensor:
        """The last tokens of each row, from which the next one is predicted, (B, longest - 1)."""
        ids = torch.cat([self._before(batch), batch.inputs], 1)
        steps = torch.arange(self.longest - 1, device=ids.device)
        return ids.gather(1, batch.lengths[:, None] + steps)

    def following(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        """The log-probabilities of all tokens after contexts (N, longest - 1) by the n-grams, (N, V), and the number of
        known tokens of each context, (N, 1).
        """
        probabilities, known = self.model.distributions(_ids(contexts), self.longest)
        logs = contexts.new_tensor(numpy.log(probabilities), dtype=torch.float32)
        return logs, contexts.new_tensor(known)[:, None]

    def forward(self, network: Tensor, ngrams: Tensor, known: Tensor) -> Tensor:
        """The log-probabilities of the mixture from those of both models and the numbers of known tokens."""
        share = self.share.clamp(0, 1)[known]
        return torch.logaddexp(share.log() + network, (-share).log1p() + ngrams)

    @torch.no_grad()
    def fit(self, network: Tensor, ngrams: Tensor, known: Tensor) -> None:
        """Fit the shares to held-out targets by expectation maximisation.

        Args:
            network, ngrams: (N,) the log-probability of each target by either model.
            known: (N,) numbers of known tokens.
        """
        difference = (network - ngrams).double()
        counts = torch.bincount(known, minlength=self.longest) + PRIOR
        share = torch.full_like(counts, 0.5, dtype=torch.double)
        for _ in range(ROUNDS):
            by_network = (share.logit()[known] + difference).sigmoid()
            share = (torch.bincount(known, by_network, minlength=self.longest) + PRIOR / 2) / counts
        self.share.copy_(share)

    def _before(self, batch: Batch) -> Tensor:
        """The tokens before each row, (B, longest - 1), V where there are none."""
        if batch.before is None:
            return batch.inputs.new_full((batch.size, self.longest - 1), self.vocabulary_size)
        before = batch.before[:, batch.before.shape[1] - (self.longest - 1) :]
        return before.masked_fill(before < 0, self.vocabulary_size)


def _ids(ids: Tensor) -> Ids:
    return ids.cpu().numpy().astype(numpy.int64)
