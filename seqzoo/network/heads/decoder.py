"""The decoder of an encoder-decoder: it reads the previous token and a memory, and predicts the next token.

Sutskever, Vinyals & Le, Sequence to Sequence Learning with Neural Networks, 2014 (the context as first state),
https://arxiv.org/abs/1409.3215
Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014 (the context as first state and at every
step),
https://arxiv.org/abs/1406.1078
Luong, Pham & Manning, Effective Approaches to Attention-based Neural Machine Translation, 2015 (attention after the
step, input feeding), https://arxiv.org/abs/1508.04025
Vinyals, Toshev, Bengio & Erhan, Show and Tell: A Neural Image Caption Generator, 2015 (the context as first input),
https://arxiv.org/abs/1411.4555
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from seqzoo.contracts.batch import UNKNOWN, Features, State
from seqzoo.contracts.masking import largest_of, mean_of
from seqzoo.contracts.parts import BackboneFactory
from seqzoo.contracts.state import flatten, map_state, unflatten
from seqzoo.network.heads.attention import AttentionName, Memory, create_attention, unattended
from seqzoo.network.locked_dropout import create_dropout

ContextName = Literal["first_state", "mean_state", "max_state", "own_state", "first_input", "every_step"]
STATES = ("first_state", "mean_state", "max_state")
"""Contexts that the first state is computed from, alone or together."""


@dataclass(frozen=True)
class DecoderOptions:
    """Options of the decoder.

    Args:
        backbone: the network of the decoder; causal, since it writes from left to right.
        context: how the decoder is conditioned on the source besides attention; a name or a list of names.
            first_state: its initial state is the encoder's last state, through a linear layer where their shapes
            differ. mean_state, max_state: its initial state is computed by a linear layer from the mean or the maximum
            over time of the encoder's outputs. own_state: not at all. first_input: a projection of the encoder's last
            output is its first input, before all tokens. every_step: the encoder's last output is an input at every
            step. Where several of these give a state, one linear layer reads them side by side.
        attention: a kind of attention over the encoder's outputs (`seqzoo.network.heads.attention`), or none. The head
            then reads tanh(W [output; context]), as wide as an embedding, instead of the output.
        attention_size: width of the hidden layer of additive, location_aware, coverage and monotonic; width of all
            heads of multi_head together.
        attention_heads: number of heads of multi_head.
        copy_source: the next token is copied from the source with a probability that a gate predicts, where it is drawn
            by the attention weights (See, Liu & Manning, Get To The Point: Summarization with Pointer-Generator
            Networks, 2017, https://arxiv.org/abs/1704.04368).
        input_feeding: the input of the head is also an input of the next step. Training then runs step by step.
        embedding_size: width of the embeddings of tokens.
        embedding_std: standard deviation of the initial embeddings.
        tied_embeddings: the weight of the head is that of the embeddings (Press & Wolf, Using the Output Embedding to
            Improve Language Models, 2017, https://aclanthology.org/E17-2025).
        dropout: dropout on the embeddings and on the input of the head.

    Raises:
        ValueError: an option has a value that it cannot have, or two do not go together.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "attention_size": "attention=additive,location_aware,coverage,monotonic,multi_head",
        "attention_heads": "attention=multi_head",
    }

    backbone: BackboneFactory
    context: ContextName | list[ContextName] = "first_state"
    attention: AttentionName = "none"
    attention_size: int = 128
    attention_heads: int = 4
    copy_source: bool = False
    input_feeding: bool = False
    embedding_size: int = 128
    embedding_std: float = 0.1
    tied_embeddings: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("embedding_size", "attention_size", "attention_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if not 0 <= self.embedding_std <= 1_000:
            raise ValueError(f"embedding_std is {self.embedding_std}: it must be between 0 and 1,000")
        for name in ("input_feeding", "copy_source"):
            if self.attention == "none" and getattr(self, name):
                raise ValueError(f"{name} needs something to attend with, such as attention=general")
        starts = {*self.contexts} - {"every_step"}
        compatible = len(starts) < 2 or starts <= {*STATES}
        if not self.contexts or len({*self.contexts}) < len(self.contexts) or not compatible:
            raise ValueError(f"context is {self.context}: name one, or a list of several states and every_step")
        if self.attention == "none" and self.contexts == ["own_state"]:
            raise ValueError("context is own_state: without attention the decoder would not depend on the source")

    @property
    def contexts(self) -> list[ContextName]:
        return [self.context] if isinstance(self.context, str) else self.context


class Decoded(NamedTuple):
    """What a decoder computes before the head.

    Attributes:
        outputs: (B, U, W), the inputs of the head.
        weights: (B, U, S), the attention weights; None without attention.
    """

    outputs: Tensor
    weights: Tensor | None


class Decoder(nn.Module):
    """The decoder of an encoder-decoder.

    A state is a tuple (state of the backbone, past attention weights, fed-back input of the head); a memory is a tuple
    (memory of the attention, input of every step, source tokens that may be copied). Unused parts are empty tuples.

    Args:
        feature_size: F, the width of the encoder's outputs.
        vocabulary_size: V.
        encoder_state: a state of the encoder, of which only the shapes are used.
        options: see `DecoderOptions`.

    Raises:
        ValueError: the backbone is not causal, or an option does not suit the encoder or the sizes.
    """

    def __init__(self, feature_size: int, vocabulary_size: int, encoder_state: State, options: DecoderOptions):
        super().__init__()
        self.input_feeding, self.at_every_step = options.input_feeding, "every_step" in options.contexts
        self.by_first_input = "first_input" in options.contexts
        self.states = [name for name in options.contexts if name in STATES]
        width = options.embedding_size
        self.embedding = nn.Embedding(vocabulary_size, width)
        nn.init.normal_(self.embedding.weight, std=options.embedding_std)
        read = (feature_size if self.at_every_step else 0) + (width if options.input_feeding else 0)
        self.backbone = options.backbone(width + read)
        if not self.backbone.causal:
            raise ValueError(
                "the backbone of the decoder is not causal: a decoder writes from left to right, so give it one "
                "direction"
            )
        self.bridge = self._create_bridge(feature_size, encoder_state)
        self.dropout = create_dropout(options.dropout)
        output_size = self.backbone.output_size
        self.attention = create_attention(
            options.attention, output_size, feature_size, options.attention_size, options.attention_heads
        )
        if self.attention is not None:
            self.combine = nn.Linear(output_size + feature_size, width)
            output_size = width
        self.head = nn.Linear(output_size, vocabulary_size)
        self.gate = nn.Linear(output_size, 1) if options.copy_source else None
        if options.tied_embeddings:
            if output_size != width:
                raise ValueError(
                    f"tied_embeddings needs as many features of the decoder ({output_size}) as embedding_size "
                    f"({width}), or an attention"
                )
            self.head.weight = self.embedding.weight

    def _create_bridge(self, feature_size: int, encoder_state: State) -> nn.Linear | None:
        """The linear layer from the encoder to the first state or the first input; None where none is needed."""
        first = self.backbone.initial_state(1)
        width = sum(tensor[0].numel() for tensor in _features_of(first))
        if self.by_first_input:
            return nn.Linear(feature_size, self.embedding.embedding_dim)
        shapes, available = ([tensor.shape[1:] for tensor in flatten(state)] for state in (first, encoder_state))
        if "first_state" in self.states and not available:
            raise ValueError(
                "context is first_state: the encoder carries no state, so choose mean_state or another one"
            )
        if not self.states or (self.states == ["first_state"] and shapes == available):
            return None
        last_state = sum(tensor[0].numel() for tensor in _features_of(encoder_state))
        return nn.Linear(sum(last_state if name == "first_state" else feature_size for name in self.states), width)

    def start(self, features: Features, source: Tensor | None = None) -> tuple[State, State]:
        """Begin to decode.

        Args:
            features: of the encoder.
            source: (B, S), the ids of the encoder's steps in the vocabulary of the decoder; needed by `copy_source`.

        Returns:
            The first state, and the memory.

        Raises:
            ValueError: `copy_source` has no source of text to copy from.
        """
        if self.gate is not None and (source is None or source.shape != features.outputs.shape[:2]):
            raise ValueError(
                "copy_source copies tokens: it needs a source of text, and a backbone that keeps its steps"
            )
        fed = (features.last.new_zeros(features.last.shape[0], self.head.in_features),) if self.input_feeding else ()
        read = (features.last,) if self.at_every_step else ()
        first = self._first_state(features, (*read, *fed))
        copied = () if self.gate is None else (source,)
        if self.attention is None:
            return (first, (), fed), ((), read, copied)
        memory = self.attention.remember(features.outputs, features.lengths)
        return (first, (unattended(memory),), fed), (tuple(memory), read, copied)

    def _first_state(self, features: Features, beside: tuple[Tensor, ...]) -> State:
        """The first state of the backbone; beside: the inputs of a step beside the embedding."""
        first = self.backbone.initial_state(features.last.shape[0])
        if self.bridge is None:
            return unflatten(flatten(features.state), first) if self.states else first
        if self.by_first_input:
            return self.backbone.step(torch.cat([self.bridge(features.last), *beside], dim=-1), first)[1]
        seen = torch.cat([_seen(features, name) for name in self.states], dim=-1)
        sizes = [tensor.shape[1:].numel() for tensor in _features_of(first)]
        pieces = iter(torch.tanh(self.bridge(seen)).split(sizes, dim=-1))
        return map_state(lambda zero: next(pieces).reshape(zero.shape) if zero.dim() > 1 else zero, first)

    def forward(
        self, tokens: Tensor, state: State, memory: State, choose: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> Decoded:
        """Run the decoder over target tokens with teacher forcing.

        Args:
            tokens: input tokens, (B, U).
            state: the first state, from `start`.
            memory: from `start`.
            choose: scheduled sampling. Called before each step but the first with the target tokens (B,) and the
                previous input of the head (B, W); returns the tokens (B,) to read instead. Decoding then runs step by
                step.

        Returns:
            Inputs of the head (B, U, W) and, with attention, weights (B, U, S).
        """
        if self.input_feeding or choose is not None:
            return self._by_steps(tokens, state, memory, choose)
        x = self.dropout(self.embedding(tokens))
        x = torch.cat([x, *(read[:, None].expand(-1, x.shape[1], -1) for read in memory[1])], dim=-1)
        # no lengths: steps after the end of a row are masked in the loss
        outputs, _ = self.backbone(x, None, state[0])
        if self.attention is None:
            return Decoded(self.dropout(outputs), None)
        contexts, weights = self.attention(outputs, Memory(*memory[0]))
        return Decoded(self.dropout(self._combined(outputs, contexts)), weights)

    def _by_steps(
        self, tokens: Tensor, state: State, memory: State, choose: Callable[[Tensor, Tensor], Tensor] | None
    ) -> Decoded:
        outputs: list[Tensor] = []
        weights = []
        for token in tokens.unbind(1):
            if choose is not None and outputs:
                token = choose(token, outputs[-1])
            output, state = self.step(token, state, memory)
            outputs.append(output)
            weights += [attended[:, 0] for attended in state[1]]
        return Decoded(torch.stack(outputs, dim=1), torch.stack(weights, dim=1) if weights else None)

    def step(self, token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        """Decode one step.

        Args:
            token: (B,)
            state: from `start` or the previous step.
            memory: from `start`.

        Returns:
            The input of the head (B, W) and the next state.
        """
        backbone_state, attended, fed = state
        x = torch.cat([self.dropout(self.embedding(token)), *memory[1], *fed], dim=-1)
        output, backbone_state = self.backbone.step(x, backbone_state)
        if self.attention is not None:
            context, after = self.attention.step(output, Memory(*memory[0]), *attended)
            output, attended = self._combined(output, context), (after,)
        output = self.dropout(output)
        return output, (backbone_state, attended, (output,) if self.input_feeding else ())

    def log_probabilities(self, output: Tensor, attended: Tensor | None, memory: State) -> Tensor:
        """Log-probabilities of the next token. With `copy_source`, the unknown token can only be copied.

        Args:
            output: the input of the head, (B, W).
            attended: attention weights (B, S); None without attention.
            memory: from `start`.

        Returns:
            (B, V)
        """
        written = self.head(output).float().log_softmax(-1)
        if self.gate is None or attended is None:
            return written
        written[:, UNKNOWN] = float("-inf")
        copied = torch.zeros_like(written).scatter_add_(1, memory[2][0], attended.float())
        gate = self.gate(output).float()
        return torch.logaddexp(logsigmoid(gate) + written, logsigmoid(-gate) + copied.log())

    def target_log_probabilities(
        self, decoded: Decoded, source: Tensor | None, targets: Tensor, never: Sequence[int] = ()
    ) -> Tensor:
        """Log-probabilities of target tokens.

        Args:
            decoded: from `forward`.
            source: as of `start`.
            targets: (B, U).
            never: ids that are never generated, only copied; the probability is renormalised without them.

        Returns:
            (B, U)
        """
        logs = self.head(decoded.outputs).float().log_softmax(-1)
        if never:
            logs = logs.index_fill(-1, targets.new_tensor(never), float("-inf"))
        written, all_written = logs.gather(2, targets[..., None])[..., 0], logs.logsumexp(-1) if never else 0.0
        if self.gate is None or decoded.weights is None or source is None:
            return written - all_written
        copied = (decoded.weights.float() * (source[:, None] == targets[..., None])).sum(-1)
        gate = self.gate(decoded.outputs).float()[..., 0]
        # a token that is not in the source has no gradient from it
        scores = torch.logaddexp(logsigmoid(gate) + written, logsigmoid(-gate) + copied.clamp(min=1e-30).log())
        return scores - torch.logaddexp(logsigmoid(gate) + all_written, logsigmoid(-gate)) if never else scores

    def _combined(self, outputs: Tensor, contexts: Tensor) -> Tensor:
        return torch.tanh(self.combine(torch.cat([outputs, contexts], dim=-1)))


def _seen(features: Features, name: str) -> Tensor:
    """The features of the encoder that the decoder's first state is computed from, (B, F)."""
    if name == "first_state":
        return torch.cat([tensor.flatten(1) for tensor in _features_of(features.state)], dim=-1)
    return (mean_of if name == "mean_state" else largest_of)(features.outputs, features.lengths)


def _features_of(state: State) -> list[Tensor]:
    """The tensors of a state that hold features, which counters (B,) do not."""
    return [tensor for tensor in flatten(state) if tensor.dim() > 1]
