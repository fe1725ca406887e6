"""Encoder-decoder: a sequence becomes another one, of another length.

Sutskever, Vinyals & Le, Sequence to Sequence Learning with Neural Networks, 2014 (the context as first state),
https://arxiv.org/abs/1409.3215
Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014 (the context at every step),
https://arxiv.org/abs/1406.1078
Luong, Pham & Manning, Effective Approaches to Attention-based Neural Machine Translation, 2015 (attention after the
step, input feeding), https://arxiv.org/abs/1508.04025
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from seqzoo.attention import AttentionName, Memory, create_attention, unattended
from seqzoo.contracts import (
    BEGIN,
    END,
    PAD,
    UNKNOWN,
    Alignment,
    BackboneFactory,
    Batch,
    DataSpec,
    Features,
    Loss,
    Metric,
    Prediction,
    State,
    Task,
)
from seqzoo.decoding import Constraints, Hypothesis, Start, beam_search, generate
from seqzoo.errors import DataError
from seqzoo.linear_cross_entropy import linear_cross_entropy
from seqzoo.metrics import create_metrics
from seqzoo.state import flatten, map_state, unflatten
from seqzoo.tasks.scheduled_sampling import Schedule, ScheduledSampling


def _features_of(state: State) -> list[Tensor]:
    """The tensors of a state that hold features; counters stay where they are."""
    return [tensor for tensor in flatten(state) if tensor.dim() > 1]


# an unknown token is no answer, even where the reference has one
NEVER_WRITTEN = [PAD, UNKNOWN, BEGIN]


class Transduction(Task):
    """`forward` gives what the head reads, (B, U, W), each step given the right tokens before it (teacher forcing); the
    head's scores are never held at once.

    A state of the decoding is (the decoder's own, what was attended to, what is fed back); its memory is (what is
    attended to, what is read at every step). What a model has not is an empty tuple.

    decoder: a backbone that goes step by step.
    encoder_state: a state of the encoder, read for its shapes.
    context: first_state gives the encoder's last state to the decoder as its first one, through a layer of its own
        where their shapes differ; mean_state the mean of the encoder's outputs, through a layer; own_state nothing;
        every_step gives the encoder's last output to the decoder beside each token.
    attention: a kind of `seqzoo.attention`, over the encoder's outputs, or none. The head reads
        tanh(W [output; context]), as wide as a token's vector, in place of the decoder's output.
    attention_size: of the hidden layer of additive and location_aware, and of all heads of multi_head together.
    attention_heads: of multi_head.
    input_feeding: what the head has read goes into the next step, beside the token. Training then goes step by step.
    embedding_size: width of a target token's vector; embedding_std: spread of these vectors at the start.
    tied_embeddings: the head's weights are these vectors (Press & Wolf, Using the Output Embedding to Improve Language
        Models, 2017, https://aclanthology.org/E17-2025).
    dropout: on the vectors of target tokens, and on what the head reads.
    word_dropout: share of the target tokens that the decoder reads as unknown in training (Bowman et al., Generating
        Sentences from a Continuous Space, 2016, https://aclanthology.org/K16-1002).
    label_smoothing: share of the probability that training spreads over all tokens (Szegedy et al., Rethinking the
        Inception Architecture, 2016, https://arxiv.org/abs/1512.00567).
    scheduled_sampling, sampling_steps, sampling_limit: how a share of the target tokens comes to be read, in training,
        from the decoder's own writing; see `seqzoo.tasks.scheduled_sampling`. Training then goes step by step.
    max_length: tokens after which decoding stops without an end; it also stops at twice the source's length and 10
        more.
    beam_size: hypotheses that are searched side by side; 1 takes the most probable token.
    length_penalty, coverage_penalty: alpha and beta of Wu et al., 2016; see `seqzoo.decoding.beam`.
    min_length: tokens that an answer has at least; no_repeat: no run of so many tokens twice, 0: it may be.
    prefix: what every answer begins with.
    same_length: an answer has as many tokens as its source.
    metrics: names from `seqzoo.metrics`; the first one picks the best checkpoint.
    """

    kind = "transduction"

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        decoder: BackboneFactory,
        encoder_state: State,
        metrics: list[str],
        context: Literal["first_state", "mean_state", "own_state", "every_step"] = "first_state",
        attention: AttentionName = "none",
        attention_size: int = 128,
        attention_heads: int = 4,
        input_feeding: bool = False,
        embedding_size: int = 128,
        embedding_std: float = 0.1,
        tied_embeddings: bool = False,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        label_smoothing: float = 0.0,
        scheduled_sampling: Schedule = "none",
        sampling_steps: int = 1000,
        sampling_limit: float = 0.5,
        max_length: int = 100,
        beam_size: int = 1,
        length_penalty: float = 0.0,
        coverage_penalty: float = 0.0,
        min_length: int = 0,
        no_repeat: int = 0,
        prefix: str = "",
        same_length: bool = False,
    ):
        super().__init__()
        for name, value in (("word_dropout", word_dropout), ("label_smoothing", label_smoothing)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}: it is a share, at least 0 and below 1")
        if beam_size < 1:
            raise ValueError(f"beam_size is {beam_size}: search at least one hypothesis")
        if attention == "none":
            for name, given in (("input_feeding", input_feeding), ("coverage_penalty", coverage_penalty)):
                if given:
                    raise ValueError(f"{name} needs something to attend with: choose an attention")
            if context == "own_state":
                raise ValueError("context is own_state: without attention the decoder would see nothing of the source")
        self.spec, self.metric_names = spec, metrics
        self.context, self.input_feeding, self.max_length = context, input_feeding, max_length
        self.word_dropout, self.label_smoothing = word_dropout, label_smoothing
        self.beam_size, self.length_penalty, self.coverage_penalty = beam_size, length_penalty, coverage_penalty
        self.min_length, self.no_repeat, self.prefix, self.same_length = min_length, no_repeat, prefix, same_length
        self.embedding = nn.Embedding(spec.output_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=embedding_std)
        read = (feature_size if context == "every_step" else 0) + (embedding_size if input_feeding else 0)
        self.decoder = decoder(embedding_size + read)
        if not self.decoder.causal:
            raise ValueError(
                "the decoder cannot go step by step: it writes from left to right, so give it one direction"
            )
        self.bridge = None
        ours, theirs = self.decoder.initial_state(1), encoder_state
        width = sum(tensor[0].numel() for tensor in _features_of(ours))
        if context == "mean_state":
            self.bridge = nn.Linear(feature_size, width)
        elif context == "first_state" and [t.shape[1:] for t in flatten(ours)] != [
            t.shape[1:] for t in flatten(theirs)
        ]:
            self.bridge = nn.Linear(sum(tensor[0].numel() for tensor in _features_of(theirs)), width)
        self.dropout = nn.Dropout(dropout)
        output_size = self.decoder.output_size
        self.attention = create_attention(attention, output_size, feature_size, attention_size, attention_heads)
        if self.attention is not None:
            self.combine = nn.Linear(output_size + feature_size, embedding_size)
            output_size = embedding_size
        self.head = nn.Linear(output_size, spec.output_size)
        if tied_embeddings:
            if output_size != embedding_size:
                raise ValueError(
                    f"tied_embeddings needs as many features of the decoder ({output_size}) as embedding_size "
                    f"({embedding_size}), or an attention"
                )
            self.head.weight = self.embedding.weight
        sampling = ScheduledSampling(scheduled_sampling, sampling_steps, sampling_limit)
        self.scheduled_sampling = None if scheduled_sampling == "none" else sampling

    def start(self, features: Features) -> tuple[State, State]:
        """The first state, and the memory."""
        first = self._first_state(features)
        fed = (features.last.new_zeros(features.last.shape[0], self.head.in_features),) if self.input_feeding else ()
        read = (features.last,) if self.context == "every_step" else ()
        if self.attention is None:
            return (first, (), fed), ((), read)
        memory = self.attention.remember(features.outputs, features.lengths)
        return (first, (unattended(memory),), fed), (tuple(memory), read)

    def _first_state(self, features: Features) -> State:
        first = self.decoder.initial_state(features.last.shape[0])
        if self.context in ("every_step", "own_state"):
            return first
        if self.bridge is None:
            return unflatten(flatten(features.state), first)
        if self.context == "mean_state":
            steps = features.outputs.shape[1] if features.lengths is None else features.lengths[:, None]
            seen = features.outputs.sum(1) / steps  # padded outputs are zero
        else:
            seen = torch.cat([tensor.flatten(1) for tensor in _features_of(features.state)], dim=-1)
        sizes = [tensor.shape[1:].numel() for tensor in _features_of(first)]
        pieces = iter(torch.tanh(self.bridge(seen)).split(sizes, dim=-1))
        return map_state(lambda zero: next(pieces).reshape(zero.shape) if zero.dim() > 1 else zero, first)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return self._decoded(features, batch.targets)[0]

    def attention_weights(self, features: Features, targets: Tensor) -> Tensor:
        """(B, U) targets -> (B, U, S), what of the encoder's outputs was attended to for each. Needs an attention."""
        weights = self._decoded(features, targets)[1]
        assert weights is not None
        return weights

    def _decoded(self, features: Features, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, U) right tokens -> (B, U, W), what the head reads, and the weights of the attention, if any."""
        state, memory = self.start(features)
        tokens = torch.cat([targets.new_full((len(targets), 1), BEGIN), targets[:, :-1]], dim=1)
        if self.training and self.word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped & (tokens != BEGIN), UNKNOWN)
        sampling = self.scheduled_sampling if self.training else None
        if self.input_feeding or sampling is not None:
            return self._decoded_by_steps(tokens, state, memory, sampling)
        x = self.dropout(self.embedding(tokens))
        x = torch.cat([x, *(read[:, None].expand(-1, x.shape[1], -1) for read in memory[1])], dim=-1)
        # no lengths: what a row's decoder does after its end is masked in the loss
        outputs, _ = self.decoder(x, None, state[0])
        if self.attention is None:
            return self.dropout(outputs), None
        contexts, weights = self.attention(outputs, Memory(*memory[0]))
        return self.dropout(self._combined(outputs, contexts)), weights

    def _decoded_by_steps(
        self, tokens: Tensor, state: State, memory: State, sampling: ScheduledSampling | None
    ) -> tuple[Tensor, Tensor | None]:
        outputs: list[Tensor] = []
        weights = []
        share = None if sampling is None else sampling.share()
        for token in tokens.unbind(1):
            if sampling is not None and outputs:
                token = sampling(token, self.head(outputs[-1].detach()).argmax(-1), share)
            output, state = self._advance(token, state, memory)
            outputs.append(output)
            weights += [attended[:, 0] for attended in state[1]]
        return torch.stack(outputs, dim=1), torch.stack(weights, dim=1) if weights else None

    def _advance(self, token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        """(B,) tokens -> (B, W), what the head reads, and the next state."""
        decoder_state, attended, fed = state
        x = torch.cat([self.dropout(self.embedding(token)), *memory[1], *fed], dim=-1)
        output, decoder_state = self.decoder.step(x, decoder_state)
        if self.attention is not None:
            context, after = self.attention.step(output, Memory(*memory[0]), *attended)
            output, attended = self._combined(output, context), (after,)
        output = self.dropout(output)
        return output, (decoder_state, attended, (output,) if self.input_feeding else ())

    def _combined(self, outputs: Tensor, contexts: Tensor) -> Tensor:
        return torch.tanh(self.combine(torch.cat([outputs, contexts], dim=-1)))

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        smoothing = self.label_smoothing if self.training else 0.0
        head = self.head
        return linear_cross_entropy(scores, head.weight, head.bias, batch.targets, batch.target_lengths, smoothing)

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def step(self, token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        """(B,) tokens -> (B, V) scores of the next ones, and the next state."""
        output, state = self._advance(token, state, memory)
        return self.head(output), state

    def next_token(self, token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        """As `step`, with log-probabilities, -inf where a token is never written: a `seqzoo.decoding` Step."""
        scores, state = self.step(token, state, memory)
        log_probabilities = scores.float().log_softmax(-1)
        log_probabilities[:, NEVER_WRITTEN] = float("-inf")
        return log_probabilities, state

    @torch.no_grad()
    def search(
        self, model: Any, batch: Batch, features: Features | None = None, n_best: int = 1
    ) -> list[list[Hypothesis]]:
        """The `n_best` answers of each row, best first; at most `beam_size`."""
        state, memory = self.start(features or model.encode(batch))
        log_probabilities, state = self.next_token(batch.inputs.new_full((batch.size,), BEGIN), state, memory)
        start = Start(log_probabilities, state, memory)
        # by each row's own length, so that an answer does not depend on the rows beside it
        limits = batch.lengths + 1 if self.same_length else (2 * batch.lengths + 10).clamp(max=self.max_length)
        lengths = batch.lengths.tolist() if self.same_length else None
        constraints = Constraints(self._prefixes(batch.size), self.min_length, self.no_repeat, lengths)
        if self.beam_size == 1:
            return [[found] for found in generate(start, self.next_token, limits, END, constraints=constraints)]
        penalty = self._not_attended if self.coverage_penalty else None
        return beam_search(
            start, self.next_token, limits, END, self.beam_size, n_best, self.length_penalty, penalty, constraints
        )

    def _prefixes(self, rows: int) -> list[list[int]] | None:
        ids = self.spec.targets.encode(self.prefix) if self.prefix else []
        if UNKNOWN in ids:
            raise DataError(f"prefix is {self.prefix!r}, of which the model knows only {self._text(ids)!r}: reword it")
        return [ids] * rows if ids else None

    def _not_attended(self, state: State, memory: State) -> Tensor:
        """(N,), below 0 as far as steps of the source were attended to less than once in all (Wu et al., 2016)."""
        (attended,), real = state[1], Memory(*memory[0]).real
        logarithms = attended[:, 1].clamp(1e-9, 1.0).log().masked_fill(~real, 0.0)
        return self.coverage_penalty * logarithms.sum(-1)

    def decode(self, model: Any, batch: Batch, features: Features | None = None) -> list[Prediction]:
        return [self._prediction(best) for best, *_ in self.search(model, batch, features)]

    def candidates(self, model: Any, batch: Batch, n_best: int) -> list[list[Prediction]]:
        return [[self._prediction(found) for found in row] for row in self.search(model, batch, n_best=n_best)]

    @torch.no_grad()
    def alignments(self, model: Any, batch: Batch) -> list[Alignment]:
        if self.attention is None:
            return []
        features = model.encode(batch)
        answers = [best.ids for best, *_ in self.search(model, batch, features)]
        targets = pad_sequence([batch.inputs.new_tensor([*ids, END]) for ids in answers], batch_first=True)
        found = []
        for row, weights in enumerate(self.attention_weights(features, targets)):
            read = self._read(batch.inputs[row, : batch.lengths[row]])
            if features.lengths is not None:
                weights = weights[:, : features.lengths[row]]
            # a backbone may put out fewer steps than it reads
            read = read if len(read) == weights.shape[1] else [str(step + 1) for step in range(weights.shape[1])]
            written = [*(self.spec.targets.decode([token]) for token in answers[row]), "<eos>"]
            found.append(Alignment(read, written, weights[: len(written)]))
        return found

    def _read(self, row: Tensor) -> list[str]:
        return [self.spec.inputs.decode([token]) for token in row.tolist()] if self.spec.inputs else []

    def _prediction(self, hypothesis: Hypothesis) -> Prediction:
        return Prediction(self.spec.targets.decode(hypothesis.ids), hypothesis.score)

    def _text(self, row: list[int]) -> str:
        return self.spec.targets.decode(row[: row.index(END)] if END in row else row)

    def references(self, batch: Batch) -> list:
        return [self._text(row) for row in batch.targets.tolist()]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """source -> answer, with the right one where it is another."""
        rights = self.references(batch) if batch.targets is not None else [p.answer for p in predictions]
        sources = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        texts = [self.spec.inputs.decode(row[:length]) for row, length in sources]
        return [
            f"{text} -> {p.answer}{'' if p.answer == right else f'   (right: {right})'}"
            for text, p, right in zip(texts, predictions, rights, strict=True)
        ]
