"""Head, loss, metrics and decoding, one file per kind of task."""

from seqzoo.tasks.classification import Classification
from seqzoo.tasks.cloze import Cloze
from seqzoo.tasks.language_modeling import LanguageModeling
from seqzoo.tasks.regression import Regression
from seqzoo.tasks.tagging import Tagging
from seqzoo.tasks.transduction import Transduction
from seqzoo.tasks.verse import Verse

__all__ = ["Classification", "Cloze", "LanguageModeling", "Regression", "Tagging", "Transduction", "Verse"]
