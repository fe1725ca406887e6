"""Labelled sentences, and for training the labelled phrases of their trees."""

from __future__ import annotations

from dataclasses import dataclass, field

from seqzoo.data.examples import Example
from seqzoo.data.files.classification_files import ClassificationFiles
from seqzoo.data.sources.reading import read_trees


@dataclass(eq=False, kw_only=True)
class PhraseFiles(ClassificationFiles):
    """Labelled sentences; the distinct phrases of trees join the training split.

    Args:
        phrases: a file of the trees of the training sentences, see `seqzoo.data.sources.reading.read_trees`.
        phrase_labels: maps the labels of trees to those of sentences; phrases with other labels are left out. Empty:
            labels stay as they are.

    Source: Socher et al., Recursive Deep Models for Semantic Compositionality over a Sentiment Treebank, 2013,
    https://aclanthology.org/D13-1170
    """

    phrases: str
    phrase_labels: dict[str, str] = field(default_factory=dict)

    def read_split(self, split: str) -> list[Example] | None:
        examples = super().read_split(split)
        if split != "train" or examples is None:
            return examples
        return [*examples, *self._phrases({str(example.source) for example in examples})]

    def _phrases(self, sentences: set[str]) -> list[Example]:
        """The distinct phrases that are not whole sentences; of equal texts the first one."""
        phrases: dict[str, Example] = {}
        path = self.path(self.phrases)
        for row in read_trees(path, self.encoding_of(path)):
            label, text = row.fields
            label = self.phrase_labels.get(label, "") if self.phrase_labels else label
            if label and text not in sentences and text not in phrases:
                phrases[text] = Example(text, label, row.where)
        return list(phrases.values())
