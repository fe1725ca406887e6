"""The adaptive softmax, for large vocabularies of which few words are frequent.

Source: Grave et al., Efficient softmax approximation for GPUs, 2017, https://arxiv.org/abs/1609.04309
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.network.heads.head import Head, onto


class AdaptiveSoftmax(Head):
    """A softmax over the frequent tokens and clusters of the rare ones, then a softmax within each cluster:

        p(w) = p(cluster of w) p(w | cluster)

    The distribution is exact. The softmax of a cluster is computed only for the rows whose target is in it. Unlike in
    the paper, the vectors of rare tokens are as wide as the others, so that they can be tied to the embeddings.

    Args:
        feature_size: O, the width of the features.
        vocabulary_size: V; ids are in order of falling frequency.
        cutoffs: the first id of each cluster, in rising order.
        embedding: as of `Head`.

    Raises:
        ValueError: the cutoffs do not rise, or are not between 1 and V - 1.
    """

    def __init__(
        self, feature_size: int, vocabulary_size: int, cutoffs: list[int], embedding: nn.Embedding | None = None
    ):
        super().__init__(feature_size, vocabulary_size, embedding)
        if not cutoffs or sorted({*cutoffs, 0, vocabulary_size}) != [0, *cutoffs, vocabulary_size]:
            raise ValueError(
                f"softmax_cutoffs is {cutoffs}: list rising ids below the size of the vocabulary, {vocabulary_size}, "
                "or give null"
            )
        self.edges = [*cutoffs, vocabulary_size]
        self.projection = onto(feature_size, self.width)
        clusters = nn.Linear(self.width, len(cutoffs))
        self.cluster_weight, self.cluster_bias = clusters.weight, clusters.bias

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        losses = [
            F.cross_entropy(scores, ids, reduction="sum") for _, scores, ids in self._softmaxes(features, targets)
        ]
        return sum(losses[1:], losses[0])

    def target_log_probabilities(self, features: Tensor, targets: Tensor) -> Tensor:
        result = features.new_zeros(len(targets), dtype=torch.float32)
        for rows, scores, ids in self._softmaxes(features, targets):
            result = result.index_add(0, rows, -F.cross_entropy(scores, ids, reduction="none"))
        return result

    def _softmaxes(self, features: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of the first softmax and of each cluster: the rows whose targets need it, their scores and their targets."""
        features = self.projection(features)
        (weight, bias), *clusters = self._parts()
        first = targets.clamp(max=self.edges[0])
        rare = []
        for number, (begin, end) in enumerate(pairwise(self.edges)):
            inside = (targets >= begin) & (targets < end)
            first = first.masked_fill(inside, self.edges[0] + number)
            # on the meta device targets have no values, so that all rows are counted
            rows = inside.nonzero()[:, 0] if not targets.is_meta else targets
            rare.append((rows, features[rows], targets[rows] - begin))
        yield torch.arange(len(targets), device=targets.device), F.linear(features, weight, bias).float(), first
        for (rows, cluster_features, ids), (weight, bias) in zip(rare, clusters, strict=True):
            yield rows, F.linear(cluster_features, weight, bias).float(), ids

    def log_probabilities(self, features: Tensor) -> Tensor:
        features = self.projection(features)
        first, *clusters = (F.linear(features, *part).float().log_softmax(-1) for part in self._parts())
        frequent, chosen = first[..., : self.edges[0]], first[..., self.edges[0] :]
        return torch.cat([frequent, *(chosen[..., n, None] + inside for n, inside in enumerate(clusters))], dim=-1)

    def _parts(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of the first softmax, then of each cluster."""
        sizes = [self.edges[0], *(end - begin for begin, end in pairwise(self.edges))]
        # split, not slices: the gradient of each slice would be as large as the whole weight
        (weight, *weights), (bias, *biases) = self.weight.split(sizes), self.bias.split(sizes)
        first = torch.cat([weight, self.cluster_weight]), torch.cat([bias, self.cluster_bias])
        return [first, *zip(weights, biases, strict=True)]
