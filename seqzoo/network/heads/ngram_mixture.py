"""A mixture of a network's distribution over the next token and that of n-grams of the training text."""

from __future__ import annotations

import numpy
import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import BEFORE, Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec, TrainingText
from seqzoo.network.heads.head import Head
from seqzoo.network.heads.ngram_model import Ids, NgramModel

LONGEST = BEFORE + 1
"""Maximum length of n-grams, in tokens."""
ROUNDS = 50
"""Rounds of expectation maximisation."""
PRIOR = 10.0
"""Number of targets that count as predicted equally well by both models, for each share."""
FEW_TOKENS = 1_000
"""Vocabulary up to which all probabilities of each step are computed, so that shares depend on the largest ones."""
DEGREES = 10
"""Equal intervals of the largest probability of a model, between which shares differ. Over shares by the known tokens
of the context, they gained 0.013 nats on a play by characters; 4 intervals gained 0.011, and shares by both 0.0135.
"""


class NgramMixture(nn.Module):
    """Mixes the probabilities of a network with those of n-grams with modified Kneser-Ney smoothing:

        p(w | h) = s_k p_network(w | h) + (1 - s_k) p_ngrams(w | h)

    Up to FEW_TOKENS tokens, k says how sure both models are: the intervals of their largest probabilities. For a larger
    vocabulary, whose probabilities would take long to compute for each step of a text, k is the number of tokens of the
    n-gram's context that were seen in training. The shares s_k, one half at first, are fitted on held-out text; the
    n-grams are counted when they are needed first. The training text is a buffer, so that checkpoints and weights
    contain it.

    Args:
        longest: the longest n-grams, in tokens.
        spec: of running text.

    Raises:
        ValueError: `longest` is out of its range, or the training text is unknown.

    Source: Mikolov et al., Empirical Evaluation and Combination of Advanced Language Modeling Techniques, 2011,
    https://www.isca-archive.org/interspeech_2011/mikolov11_interspeech.html; shares by context as in Jelinek & Mercer,
    Interpolated Estimation of Markov Source Parameters from Sparse Data, 1980, and by the sureness of the models as in
    Neubig & Dyer, Generalizing and Hybridizing Count-based and Neural Language Models, 2016,
    https://aclanthology.org/D16-1124.
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
        self.by_sureness = spec.output_size <= FEW_TOKENS
        self.register_buffer("share", torch.full((DEGREES**2 if self.by_sureness else longest,), 0.5))
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

    def target_log_probabilities(self, head: Head, features: Tensor, batch: Batch) -> Tensor:
        """The log-probability of each target by the mixture, (B, T).

        Args:
            head: of the network.
            features: (B, T, O), which it reads.
            batch: with targets.
        """
        # before the shares are fitted, they are equal, and a validation need not find out which one is which
        equal = bool((self.share == self.share[0]).all())
        return self(
            *(self._of_known(head, features, batch) if equal else self.target_components(head, features, batch))
        )

    def target_components(self, head: Head, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """What the mixture is made of at each target, (B, T): the log-probabilities of the target by the network and by
        the n-grams, and the number of the share.

        Args:
            head, features, batch: as of `target_log_probabilities`.
        """
        if not self.by_sureness:
            return self._of_known(head, features, batch)
        targets = batch.required_targets
        network = head.log_probabilities(features.flatten(0, 1))
        ngrams, shares = self.following(self.step_contexts(batch).flatten(0, 1), network)
        network, ngrams = (logs.gather(1, targets.flatten()[:, None]) for logs in (network, ngrams))
        return network.view_as(targets), ngrams.view_as(targets), shares.view_as(targets)

    def _of_known(self, head: Head, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The same as `target_components`, with the number of known tokens as the number of the share."""
        targets = batch.required_targets
        network = head.target_log_probabilities(features.flatten(0, 1), targets.flatten())
        ids = torch.cat([self._before(batch)[:, 1:], batch.inputs[:, :1], targets], 1)
        predicted = torch.arange(ids.shape[1]) >= ids.shape[1] - targets.shape[1]
        probabilities, known = self.model.target_probabilities(
            _ids(ids), predicted.expand(ids.shape).numpy(), self.longest
        )
        ngrams = network.new_tensor(numpy.log(probabilities))
        return network.view_as(targets), ngrams.view_as(targets), targets.new_tensor(known).view_as(targets)

    def contexts(self, batch: Batch) -> Tensor:
        """The last tokens of each row, from which the next one is predicted, (B, longest - 1)."""
        ids = torch.cat([self._before(batch), batch.inputs], 1)
        return ids.gather(1, batch.lengths[:, None] + self._places(ids.device))

    def step_contexts(self, batch: Batch) -> Tensor:
        """`contexts` after each step, (B, T, longest - 1)."""
        ids = torch.cat([self._before(batch), batch.inputs], 1)
        return ids[:, torch.arange(1, batch.inputs.shape[1] + 1, device=ids.device)[:, None] + self._places(ids.device)]

    def following(self, contexts: Tensor, network: Tensor) -> tuple[Tensor, Tensor]:
        """The log-probabilities of all tokens by the n-grams after each context, (N, V), and the number of its share,
        (N, 1).

        Args:
            contexts: (N, longest - 1).
            network: the log-probabilities of the network, (N, V).
        """
        probabilities, known = self.model.distributions(_ids(contexts), self.longest)
        ngrams = network.new_tensor(probabilities).log()
        if not self.by_sureness:
            return ngrams, contexts.new_tensor(known)[:, None]
        of_network, of_ngrams = (
            (logs.max(1, keepdim=True).values.exp() * DEGREES).long().clamp(max=DEGREES - 1)
            for logs in (network, ngrams)
        )
        return ngrams, of_network * DEGREES + of_ngrams

    def forward(self, network: Tensor, ngrams: Tensor, shares: Tensor) -> Tensor:
        """The log-probabilities of the mixture from those of both models and the numbers of the shares."""
        share = self.share.clamp(0, 1)[shares]
        return torch.logaddexp(share.log() + network, (-share).log1p() + ngrams)

    @torch.no_grad()
    def fit(self, network: Tensor, ngrams: Tensor, shares: Tensor) -> None:
        """Fit the shares to held-out targets by expectation maximisation.

        Args:
            network, ngrams: (N,) the log-probability of each target by either model.
            shares: (N,) the numbers of their shares.
        """
        difference = (network - ngrams).double()
        counts = torch.bincount(shares, minlength=len(self.share)) + PRIOR
        share = torch.full_like(counts, 0.5, dtype=torch.double)
        for _ in range(ROUNDS):
            by_network = (share.logit()[shares] + difference).sigmoid()
            share = (torch.bincount(shares, by_network, minlength=len(self.share)) + PRIOR / 2) / counts
        self.share.copy_(share)

    def _places(self, device: torch.device) -> Tensor:
        """The places of a context among the tokens that end before the next one."""
        return torch.arange(self.longest - 1, device=device)

    def _before(self, batch: Batch) -> Tensor:
        """The tokens before each row, (B, longest - 1), V where there are none."""
        if batch.before is None:
            return batch.inputs.new_full((batch.size, self.longest - 1), self.vocabulary_size)
        before = batch.before[:, batch.before.shape[1] - (self.longest - 1) :]
        return before.masked_fill(before < 0, self.vocabulary_size)


def _ids(ids: Tensor) -> Ids:
    return ids.cpu().numpy().astype(numpy.int64)
