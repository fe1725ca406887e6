"""The RNN transducer: at each step the network writes any number of tokens, each given the tokens before it.

Source: Graves, Sequence Transduction with Recurrent Neural Networks, 2012, https://arxiv.org/abs/1211.3711
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import BEGIN, State
from seqzoo.contracts.masking import mask
from seqzoo.contracts.parts import BackboneFactory
from seqzoo.contracts.state import where

IMPOSSIBLE = -1e9
"""A log-probability of what cannot be; not -inf, whose gradients are NaN."""
MOST_TOKENS = 10
"""Maximum number of tokens that greedy decoding writes at a step."""


@dataclass(frozen=True)
class TransducerOptions:
    """Options of the transducer.

    Args:
        backbone: the prediction network, which reads the tokens that have been written.
        embedding_size: width of the embeddings of tokens.
        joint_size: width of the layer that joins both networks.

    Raises:
        ValueError: a size is below 1.
    """

    acts_with: ClassVar[dict[str, str]] = dict.fromkeys(("embedding_size", "joint_size"), "task.head=transducer")

    backbone: BackboneFactory
    embedding_size: int = 32
    joint_size: int = 128

    def __post_init__(self) -> None:
        for name in ("embedding_size", "joint_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")


class Written(NamedTuple):
    """Where greedy decoding stands.

    Attributes:
        output: of the prediction network after the last token, (B, P).
        state: its state.
    """

    output: Tensor
    state: State


class Transducer(nn.Module):
    """Outputs of a backbone (B, T, O) and tokens (B, U) -> logits of the next token or the blank (B, T, U + 1, V).

    Args:
        feature_size: O.
        vocabulary_size: V.
        blank: the id of the blank, which ends a step.
        options: sizes and the prediction network.

    Raises:
        ValueError: the prediction network reads future tokens.
    """

    def __init__(self, feature_size: int, vocabulary_size: int, blank: int, options: TransducerOptions):
        super().__init__()
        self.blank = blank
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        self.predictor = options.backbone(options.embedding_size)
        if not self.predictor.causal:
            raise ValueError("transducer.backbone predicts the next token, so it must have one direction")
        self.of_features = nn.Linear(feature_size, options.joint_size)
        self.of_tokens = nn.Linear(self.predictor.output_size, options.joint_size, bias=False)
        self.output = nn.Linear(options.joint_size, vocabulary_size)

    def forward(self, outputs: Tensor, tokens: Tensor, lengths: Tensor | None) -> Tensor:
        """lengths: number of real steps, (B,); at padded ones the blank has probability 1, which changes no text."""
        begin = tokens.new_full((len(tokens), 1), BEGIN)
        predicted, _ = self.predictor(self.embedding(torch.cat([begin, tokens], 1)))
        logits = self.join(outputs[:, :, None], predicted[:, None])
        if lengths is None:
            return logits
        nothing = logits.new_full(logits.shape[-1:], IMPOSSIBLE)
        nothing[self.blank] = 0
        return torch.where(mask(lengths, outputs.shape[1])[:, :, None, None], logits, nothing)

    def join(self, outputs: Tensor, predicted: Tensor) -> Tensor:
        """Logits of the next token, for outputs (..., O) of both networks."""
        return self.output(torch.tanh(self.of_features(outputs) + self.of_tokens(predicted)))

    def begin(self, rows: int) -> Written:
        """Before the first token of each of several rows."""
        tokens = torch.full((rows,), BEGIN, device=self.embedding.weight.device)
        return Written(*self.predictor.step(self.embedding(tokens), self.predictor.initial_state(rows)))

    def write(
        self, outputs: Tensor, lengths: Tensor | None, written: Written, never: Sequence[int]
    ) -> tuple[list[list[tuple[int, int]]], Written]:
        """Greedy decoding: write the most probable token until it is the blank, then go to the next step.

        Args:
            outputs: of the backbone, (B, T, O).
            lengths: number of real steps, (B,); None: all are real.
            written: from `begin`, or from the call for the steps before.
            never: tokens that are not written.

        Returns:
            The step and the id of each token of each row, and where decoding stands.
        """
        rows: list[list[tuple[int, int]]] = [[] for _ in outputs]
        for step in range(outputs.shape[1]):
            writes = torch.ones(len(outputs), dtype=torch.bool) if lengths is None else (step < lengths).cpu()
            for _ in range(MOST_TOKENS):
                logits = self.join(outputs[:, step], written.output)
                logits[:, list(never)] = float("-inf")
                tokens = logits.argmax(-1)
                writes = writes & (tokens != self.blank).cpu()
                if not writes.any():
                    break
                output, state = self.predictor.step(self.embedding(tokens), written.state)
                going_on = writes.to(outputs.device)
                written = Written(
                    torch.where(going_on[:, None], output, written.output), where(going_on, state, written.state)
                )
                for row in writes.nonzero()[:, 0].tolist():
                    rows[row].append((step, int(tokens[row])))
        return rows, written


def transducer_losses(log_probabilities: Tensor, tokens: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """Minus the log-probability of each row's text, summed over all ways to write it, (B,).

    Args:
        log_probabilities: (B, T, U + 1, V).
        tokens: (B, U).
        lengths: number of tokens of each text, (B,).
        blank: the id of the blank.
    """
    rows, steps, places, _ = log_probabilities.shape
    blanks = log_probabilities[..., blank]
    index = tokens[:, None, :, None].expand(-1, steps, -1, -1)
    emitted = log_probabilities[:, :, :-1].gather(3, index)[..., 0]
    # all pairs (t, u) with t + u = n are computed at once from those with t + u = n - 1
    forward = blanks.new_full((rows, places), IMPOSSIBLE)
    forward[:, 0] = 0
    place = torch.arange(places, device=tokens.device)
    finals = []
    for diagonal in range(1, steps + places):
        before = diagonal - 1 - place  # t of each u before a blank
        valid = (before >= 0) & (before < steps)
        of_blank = blanks.gather(1, before.clamp(0, steps - 1).expand(rows, 1, -1))[:, 0]
        stayed = (forward + of_blank).masked_fill(~valid, IMPOSSIBLE)
        at = diagonal - place[1:]  # t of each u > 0 after its token
        can_write = (at >= 0) & (at < steps)
        of_token = emitted.gather(1, at.clamp(0, steps - 1).expand(rows, 1, -1))[:, 0]
        wrote = (forward[:, :-1] + of_token).masked_fill(~can_write, IMPOSSIBLE)
        wrote = torch.cat([wrote.new_full((rows, 1), IMPOSSIBLE), wrote], 1)
        forward = torch.logaddexp(stayed, wrote)
        finals.append(forward)
    # the blank of the last step ends the text of U tokens on the diagonal T + U
    ends = torch.stack(finals, 1)
    last = ends.gather(1, (steps + lengths - 1)[:, None, None].expand(-1, 1, places))[:, 0]
    return -last.gather(1, lengths[:, None])[:, 0]
