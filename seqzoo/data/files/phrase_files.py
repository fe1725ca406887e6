"""Sentences with a label each, and the labelled phrases of training trees."""

from __future__ import annotations

from dataclasses import dataclass, field

from seqzoo.data.examples import Example
from seqzoo.data.files.classification_files import ClassificationFiles
from seqzoo.data.sources.reading import read_trees


@dataclass(eq=False, kw_only=True)
class PhraseFiles(ClassificationFiles):
    """The distinct phrases of trees join the training split; other splits hold sentences alone, as in Socher et al.,
    Recursive Deep Models for Semantic Compositionality over a Sentiment Treebank, 2013
    (https://aclanthology.org/D13-1170).

    phrases: a file of the training sentences' trees, see `seqzoo.data.sources.reading.read_trees`.
    phrase_labels: label in a tree -> label of the sentences; nodes of other labels are left out. Empty: all as they
        are.
    """

    phrases: str
    phrase_labels: dict[str, str] = field(default_factory=dict)

    def read_split(self, split: str) -> list[Example] | None:
        examples = super().read_split(split)
        if split != "train" or examples is None:
            return examples
        return [*examples, *self._phrases({str(example.source) for example in examples})]

    def _phrases(self, known: set[str]) -> list[Example]:
        """Of a text that occurs again, whatever its label, the first."""
        found: dict[str, Example] = {}
        for row in read_trees(self.path(self.phrases), self.encoding):
            label, text = row.fields
            label = self.phrase_labels.get(label, "") if self.phrase_labels else label
            if label and text not in known and text not in found:
                found[text] = Example(text, label, row.where)
        return list(found.values())
