"""Several networks that are trained side by side and answer together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Features, Loss, State
from seqzoo.contracts.capabilities import Averages
from seqzoo.network.model import Model


class Ensemble(Model):
    """Networks of one architecture whose probabilities are averaged.

    Each is trained by its own loss on the same batches, from its own initial weights and with its own dropout. As a
    Model, an ensemble is its first network, whose states and explanations are shown; its scores are the means.

    Args:
        networks: the networks. Their task must have the capability `Averages`.

    Source: Hansen & Salamon, Neural Network Ensembles, 1990, https://doi.org/10.1109/34.58871
    Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, 2017,
    https://arxiv.org/abs/1612.01474
    """

    def __init__(self, networks: Sequence[Model]):
        first, *others = networks
        super().__init__(first.encoder, first.backbone, first.task)
        self.others = nn.ModuleList(others)

    @property
    def networks(self) -> list[Model]:
        return [Model(self.encoder, self.backbone, self.task), *self.other_networks]

    @property
    def other_networks(self) -> list[Model]:
        """All networks but the first."""
        return cast(list[Model], list(self.others))

    def encode(self, batch: Batch, state: State | None = None) -> Features:
        features = super().encode(batch, state)
        return features._replace(others=tuple(network.encode(batch) for network in self.other_networks))

    def scores(self, batch: Batch, features: Features | None = None) -> Tensor:
        features = features or self.encode(batch)
        pairs = zip(self.other_networks, features.others, strict=True)
        scores = [
            super().scores(batch, features),
            *(network.scores(batch, its_features) for network, its_features in pairs),
        ]
        return cast(Averages, self.task).average(scores)

    def loss(self, batch: Batch, state: State | None = None) -> tuple[Loss, State]:
        """The mean of the losses of the networks, and the next state of the first."""
        (first, after), *others = [
            super().loss(batch, state),
            *(network.loss(batch) for network in self.other_networks),
        ]
        total = torch.stack([first.total, *(loss.total for loss, _ in others)]).mean()
        return Loss(total, first.count), after

    def load_pretrained(self) -> None:
        super().load_pretrained()
        for network in self.other_networks:
            network.load_pretrained()
