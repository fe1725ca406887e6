"""Metrics of trees: those of labels, over the roots or over all labelled nodes."""

from __future__ import annotations

from seqzoo.contracts.batch import Loss, Prediction
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.tree_notation import labels_in
from seqzoo.metrics.confusion import Confusion


def labelled(answer: str, reference: str, roots: bool) -> list[tuple[str, str]]:
    """Pairs of the predicted and the correct label of nodes.

    Args:
        answer, reference: the same tree in brackets, with labels.
        roots: the root alone.

    Returns:
        One pair for each node that has a label in the reference; none for a root without one.

    Raises:
        ValueError: the trees have different numbers of nodes.
    """
    predicted, correct = labels_in(answer), labels_in(reference)
    if len(predicted) != len(correct):
        raise ValueError(f"a tree of {len(predicted)} nodes cannot be compared with one of {len(correct)}")
    pairs = zip(predicted[:1], correct[:1], strict=True) if roots else zip(predicted, correct, strict=True)
    return [pair for pair in pairs if pair[1]]


class OfNodes(Metric):
    """A metric of labels over the nodes of trees, which are compared in brackets.

    Args:
        metric: of labels, such as `accuracy`.
        roots: True: of the root alone; False: of all labelled nodes, under the name `node_NAME`.
    """

    def __init__(self, metric: Metric, roots: bool):
        self.metric, self.roots = metric, roots
        self.name = metric.name if roots else f"node_{metric.name}"
        self.higher_is_better = metric.higher_is_better
        self.from_predictions = metric.from_predictions
        self.scores_alone = metric.scores_alone
        self.loss_unit = metric.loss_unit

    def update(self, loss: Loss, answers: list, references: list) -> None:
        trees = zip(answers, references, strict=True)
        pairs = [pair for tree in trees for pair in labelled(*tree, self.roots)]
        self.metric.update(loss, *([pair[side] for pair in pairs] for side in (0, 1)))

    def compute(self) -> float:
        return self.metric.compute()


class RootConfusion(Confusion):
    """The confusion matrix of the roots of trees."""

    def update(self, predictions: list[Prediction], references: list) -> None:
        for prediction, reference in zip(predictions, references, strict=True):
            for predicted, correct in labelled(str(prediction.answer), reference, roots=True):
                super().update([Prediction(predicted, prediction.score)], [correct])
