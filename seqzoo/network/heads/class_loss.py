"""Losses of scores of classes, and the probabilities that the scores stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import Loss
from seqzoo.contracts.masking import IGNORED, cross_entropy, ignore_padding, zero_padding

ClassLossName = Literal["cross_entropy", "quadratic", "focal", "ordinal", "hinge"]
OutputsName = Literal["softmax", "sigmoid", "linear"]

OUTPUTS: dict[str, tuple[OutputsName, ...]] = {
    "cross_entropy": ("softmax", "sigmoid"),
    "quadratic": ("softmax", "sigmoid", "linear"),
    "focal": ("softmax", "sigmoid"),
    "ordinal": ("softmax",),
    "hinge": ("linear",),
}
"""The outputs that each loss is defined for; the first is its default."""

SMOOTHED = ("cross_entropy", "quadratic")
"""The losses of a distribution over classes as the target, which label smoothing changes."""


class ClassLoss(nn.Module):
    """A loss of the scores z of K classes, of which one, c, is right. Outputs y are functions of z, and targets t are 1
    at c and 0 elsewhere:

        softmax: y_k = exp(z_k) / sum_j exp(z_j),  sigmoid: y_k = 1 / (1 + exp(-z_k)),  linear: y_k = z_k

        cross_entropy, softmax:  -sum_k t_k log y_k, the negative log-likelihood
        cross_entropy, sigmoid:  -sum_k t_k log y_k + (1 - t_k) log(1 - y_k)
        quadratic:               sum_k (y_k - t_k)^2 / 2
        focal, softmax:          -(1 - y_c)^gamma log y_c
        focal, sigmoid:          -sum_k (1 - p_k)^gamma log p_k,  p_k = y_k for k = c, else 1 - y_k
        ordinal:                 sum_k (y_1 + ... + y_k - t_1 - ... - t_k)^2, the ranked probability score
        hinge:                   max(0, 1 + max_{k != c} z_k - z_c)

    Probabilities of classes are the softmax of z or the sigmoids divided by their sum; linear outputs have none. Where
    there are probabilities, the loss outside training is the negative log-likelihood, so that models with different
    losses can be compared.

    Args:
        name: of the loss.
        outputs: how scores become outputs; None: the first of `OUTPUTS`.
        label_smoothing: share of the target that is spread over all classes in training: t_k (1 - s) + s / K.
        focusing: gamma of focal.
        order: the classes from the lowest to the highest, for ordinal; None: that of their ids.

    Raises:
        ValueError: an option is out of its range, or two do not go together.

    Source: Rumelhart, Hinton & Williams, Learning Representations by Back-Propagating Errors, 1986 (quadratic),
    https://doi.org/10.1038/323533a0
    Solla, Levin & Fleisher, Accelerated Learning in Layered Neural Networks, 1988 (cross-entropy of sigmoids)
    Lin et al., Focal Loss for Dense Object Detection, 2017, https://arxiv.org/abs/1708.02002
    Epstein, A Scoring System for Probability Forecasts of Ranked Categories, 1969,
    https://doi.org/10.1175/1520-0450(1969)008%3C0985:ASSFPF%3E2.0.CO;2
    Crammer & Singer, On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines, 2001
    Szegedy et al., Rethinking the Inception Architecture, 2016 (label smoothing), https://arxiv.org/abs/1512.00567
    """

    order: Tensor | None

    def __init__(
        self,
        name: ClassLossName = "cross_entropy",
        outputs: OutputsName | None = None,
        label_smoothing: float = 0.0,
        focusing: float = 2.0,
        order: Sequence[int] | None = None,
    ):
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}: it is a share, at least 0 and below 1")
        if label_smoothing and name not in SMOOTHED:
            raise ValueError(
                f"label_smoothing is for loss={' or '.join(SMOOTHED)}, whose targets are distributions: leave it 0 "
                f"with loss={name}"
            )
        if not focusing >= 0:
            raise ValueError(f"focusing is {focusing}: it must be at least 0")
        if outputs is not None and outputs not in OUTPUTS[name]:
            raise ValueError(
                f"outputs is {outputs}, and loss={name} is defined for {' and '.join(OUTPUTS[name])}: choose another"
            )
        self.name, self.outputs = name, outputs or OUTPUTS[name][0]
        self.label_smoothing, self.focusing = label_smoothing, focusing
        self.register_buffer("order", None if order is None else torch.tensor(order), persistent=False)

    @property
    def is_likelihood(self) -> bool:
        """Whether the loss is the negative log-likelihood of the class."""
        return self.name == "cross_entropy" and self.outputs == "softmax"

    @property
    def has_probabilities(self) -> bool:
        """Whether scores stand for probabilities."""
        return self.outputs != "linear"

    @property
    def loss_unit(self) -> str:
        """As `Task.loss_unit`."""
        return "nats" if self.has_probabilities else ""

    @property
    def loss_name(self) -> str:
        """Name of the mean loss outside training."""
        return "loss_nats" if self.has_probabilities else self.own_name

    @property
    def training_loss_name(self) -> str:
        """Name of the mean loss in training."""
        if self.label_smoothing:
            return "loss"
        return "loss_nats" if self.is_likelihood else self.own_name

    @property
    def own_name(self) -> str:
        """Name of the mean of `own`."""
        return f"{self.name}_loss"

    @property
    def smoothing(self) -> float:
        """`label_smoothing` in training, else 0."""
        return self.label_smoothing if self.training else 0.0

    @property
    def in_nats(self) -> bool:
        """Whether the loss is now computed as the negative log-likelihood."""
        return self.is_likelihood or (self.has_probabilities and not self.training)

    def forward(self, scores: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The sum of the losses.

        Args:
            scores: (N, K), or (N, K, ...) with targets of shape (N, ...).
            targets: classes, (N,); those that are IGNORED do not count.
            weights: of the classes, (K,); None: 1.
        """
        # in float32: a sum over a batch overflows float16 and loses digits in bfloat16
        scores = scores.float()
        if self.in_nats:
            logits = scores if self.outputs == "softmax" else self.log_probabilities(scores)
            smoothing = self.smoothing
            return F.cross_entropy(
                logits, targets, weights, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
            )
        return self.own(scores, targets, weights)

    def own(self, scores: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The sum of the losses by the formula of the loss, also outside training; arguments as of `forward`."""
        scores, targets = scores.float().movedim(1, -1).flatten(0, -2), targets.flatten()
        counted = targets != IGNORED
        targets = targets.where(counted, 0)
        losses = self._each(scores, targets)
        if weights is not None:
            losses = losses * weights[targets]
        return losses.masked_fill(~counted, 0).sum()

    def of_steps(self, scores: Tensor, targets: Tensor, lengths: Tensor | None, own: bool = False) -> Loss:
        """The loss of the real steps that have a target.

        Args:
            scores: (B, T, K).
            targets: classes, (B, T); IGNORED at steps without one.
            lengths: number of real steps of each row, (B,); None: all steps are real.
            own: by the formula of the loss, also outside training.

        Returns:
            The sum, and the number of targets.
        """
        if self.in_nats and self.outputs == "softmax" and not own:
            return cross_entropy(scores, targets, lengths, self.smoothing)
        if lengths is not None:
            scores, targets = zero_padding(scores, lengths), ignore_padding(targets, lengths)
        loss = self.own if own else self
        return Loss(loss(scores.flatten(0, 1), targets.flatten()), (targets != IGNORED).sum())

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """(..., K) scores -> log-probabilities; linear outputs, which have none, are returned as they are."""
        scores = scores.float()
        if self.outputs == "linear":
            return scores
        return scores.log_softmax(-1) if self.outputs == "softmax" else F.logsigmoid(scores).log_softmax(-1)

    def average(self, scores: Tensor) -> Tensor:
        """The scores of the mean of the probabilities of several models; of linear outputs, their mean.

        Args:
            scores: of M models, (M, ..., K).
        """
        if self.outputs == "linear":
            return scores.mean(0)
        if self.outputs == "softmax":
            return scores.log_softmax(-1).logsumexp(0) - math.log(len(scores))
        return F.logsigmoid(scores).logsumexp(0) - F.logsigmoid(-scores).logsumexp(0)

    def _each(self, scores: Tensor, targets: Tensor) -> Tensor:
        """(N, K) scores and targets (N,) -> losses (N,)."""
        if self.name == "cross_entropy":
            return self._cross_entropy(scores, targets)
        of_loss = {"quadratic": self._quadratic, "focal": self._focal, "ordinal": self._ordinal, "hinge": self._hinge}
        return of_loss[self.name](scores, targets)

    def _target(self, scores: Tensor, targets: Tensor) -> Tensor:
        """t, (N, K)."""
        smoothing = self.smoothing
        return F.one_hot(targets, scores.shape[1]).to(scores) * (1 - smoothing) + smoothing / scores.shape[1]

    def _cross_entropy(self, scores: Tensor, targets: Tensor) -> Tensor:
        target = self._target(scores, targets)
        if self.outputs == "softmax":
            return -(target * scores.log_softmax(1)).sum(1)
        return F.binary_cross_entropy_with_logits(scores, target, reduction="none").sum(1)

    def _quadratic(self, scores: Tensor, targets: Tensor) -> Tensor:
        outputs = {"softmax": scores.softmax(1), "sigmoid": scores.sigmoid(), "linear": scores}[self.outputs]
        return (outputs - self._target(scores, targets)).square().sum(1) / 2

    def _focal(self, scores: Tensor, targets: Tensor) -> Tensor:
        right = F.one_hot(targets, scores.shape[1]).bool()
        if self.outputs == "softmax":
            logs = scores.log_softmax(1).gather(1, targets[:, None])
        else:
            logs = F.logsigmoid(torch.where(right, scores, -scores))
        # -expm1(log p) is 1 - p, without cancellation; a power of 0 has no derivative where the exponent is below 1
        wrong = (-torch.expm1(logs)).clamp(min=torch.finfo(logs.dtype).tiny)
        return -(wrong**self.focusing * logs).sum(1)

    def _ordinal(self, scores: Tensor, targets: Tensor) -> Tensor:
        errors = scores.softmax(1) - F.one_hot(targets, scores.shape[1])
        if self.order is not None:
            errors = errors[:, self.order]
        return errors.cumsum(1).square().sum(1)

    def _hinge(self, scores: Tensor, targets: Tensor) -> Tensor:
        right = F.one_hot(targets, scores.shape[1]).bool()
        others = scores.masked_fill(right, float("-inf")).amax(1)
        return (1 + others - scores.gather(1, targets[:, None])[:, 0]).clamp(min=0)
