"""Trees: a class for each node, and thereby for the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.capabilities import ScoredTree
from seqzoo.contracts.masking import IGNORED, cross_entropy
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.tree_notation import Tree, tree_text
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.metrics.of_nodes import OfNodes, RootConfusion
from seqzoo.network.locked_dropout import create_dropout


class TreeClassification(Task):
    """Predicts a class for each node of a tree. The loss is that of all labelled nodes.

    An answer is the tree in brackets, with a label at each node, such as "(3 (2 It) (4 shines))"; its score is the
    log-probability of the root's label. A batch without parents has sequences, each a tree whose last step is the root.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        metrics: names from `seqzoo.metrics`, over the roots; the first one selects the best checkpoint.
        node_metrics: names, over all labelled nodes; each is reported as `node_NAME`.
        dropout: dropout on the features before the head.

    Shape:
        Scores: (B, T, K).
    """

    reads = "trees"
    example_answers = ("(1 (1 a) (2 b))",)
    loss_unit = "nats"
    needs_every_step = True
    legend = "the tree with a label at each node, or label/right where it differs from the reference"

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[MetricName],
        node_metrics: list[MetricName],
        dropout: float = 0.0,
    ):
        super().__init__()
        self.spec, self.metric_names, self.node_metric_names = spec, metrics, node_metrics
        self.dropout = create_dropout(dropout)
        self.head = nn.Linear(feature_size, spec.output_size)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return self.head(self.dropout(features.outputs))

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        """The cross-entropy of the labelled nodes."""
        return cross_entropy(scores, batch.required_targets, batch.lengths)

    def example_batch(self, rows: int, steps: int, numbers: bool = False) -> Batch:
        targets = torch.randint(max(self.spec.output_size, 1), (rows, steps))
        return replace(super().example_batch(rows, steps, numbers), targets=targets, target_lengths=None)

    def metrics(self) -> list[Metric]:
        of_roots = [OfNodes(metric, roots=True) for metric in create_metrics(self.metric_names)]
        return [*of_roots, *(OfNodes(metric, roots=False) for metric in create_metrics(self.node_metric_names))]

    def classes(self) -> list[str]:
        return self._names(list(range(self.spec.output_size)))

    def report(self) -> RootConfusion:
        return RootConfusion(self.classes())

    def average(self, scores: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack([part.float() for part in scores])
        return stacked.log_softmax(-1).logsumexp(0) - math.log(len(scores))

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        trees = self._labelled(batch, model.scores(batch, features))
        return [Prediction(tree_text(t.tree), math.log(max(t.probabilities[-1], 1e-300))) for t in trees]

    def labelled_trees(self, model: Network, batch: Batch) -> list[ScoredTree]:
        return self._labelled(batch, model.scores(batch))

    def _labelled(self, batch: Batch, scores: Tensor) -> list[ScoredTree]:
        best, labels = scores.float().softmax(-1).max(-1)
        true = [None] * batch.size if batch.targets is None else [t.labels for t in self._trees(batch, batch.targets)]
        rows, classes = zip(self._trees(batch, labels), best.tolist(), true, strict=True), self.classes()
        return [ScoredTree(tree, scores[: len(tree.words)], correct, classes) for tree, scores, correct in rows]

    def _trees(self, batch: Batch, labels: Tensor) -> list[Tree]:
        """The tree of each row with these labels, (B, T)."""
        names, steps = self.classes(), batch.inputs.shape[1]
        parents = batch.parents
        if parents is None:  # sequences
            parents = torch.arange(1, steps + 1).expand(batch.size, steps).cpu()
            parents = parents.masked_fill(parents >= batch.lengths.cpu()[:, None], -1)
        trees = []
        rows = zip(self.tokens_read(batch), parents.tolist(), labels.tolist(), strict=True)
        for words, above, classes in rows:
            of_nodes = ["" if label == IGNORED else names[label] for label in classes[: len(words)]]
            trees.append(Tree(words, above[: len(words)], of_nodes))
        return trees

    def tokens_read(self, batch: Batch) -> list[list[str]]:
        if self.spec.inputs is None:
            return [[str(step + 1) for step in range(length)] for length in batch.lengths.tolist()]
        return super().tokens_read(batch)

    def references(self, batch: Batch) -> list:
        return [tree_text(tree) for tree in self._trees(batch, batch.required_targets)]

    def _names(self, ids: list[int]) -> list[str]:
        return [self.spec.target_codec.decode([i]) for i in ids]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """The tree with the predicted label of each node, or label/right where the right one is another."""
        if batch.targets is None:
            return [str(prediction.answer) for prediction in predictions]
        lines = []
        for tree, prediction in zip(self._trees(batch, batch.targets), predictions, strict=True):
            lines.append(merged_labels(str(prediction.answer), tree_text(tree)))
        return lines


def merged_labels(answer: str, reference: str) -> str:
    """The answer with label/right where the reference has another label."""
    pieces = []
    for predicted, correct in zip(answer.split(" "), reference.split(" "), strict=True):
        wrong = predicted.startswith("(") and correct not in (predicted, "(")
        pieces.append(f"{predicted}/{correct[1:]}" if wrong else predicted)
    return " ".join(pieces)
