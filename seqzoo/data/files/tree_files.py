"""Trees with labelled nodes from files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from seqzoo.contracts.errors import located
from seqzoo.contracts.tree_notation import Tree, TreeForm, tree_over
from seqzoo.data.examples import Example
from seqzoo.data.files.base import SplitFiles
from seqzoo.data.list_values import with_values
from seqzoo.data.sources.treebanks import TreeFormat, read_treebank
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import get_tokenizer
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, Vocabulary
from seqzoo.data.tree_data import TreeData, example_of, one_token


@dataclass(eq=False, kw_only=True)
class TreeFiles(SplitFiles, TreeData):
    """Trees with labelled nodes from files, see `seqzoo.data.sources.treebanks.read_treebank`.

    Args:
        format: of the files.
        tree: given: the trees of the files; left, right, balanced: binary trees over the words of trees in brackets, of
            which the root alone has a label. A line may then also be "LABEL<tab>text".
        label_column: of CoNLL-U, the column that labels nodes.
        label_map: maps labels of nodes to others; nodes with other labels have none, and a tree whose root has none is
            left out. Empty: labels stay as they are.
        list_values: label every list of ListOps with its computed value, in all splits; False: as in the files.
        tokenizer: of words and, where trees are built over them, of raw texts.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "validation_fraction": "validation=null",
        "test_fraction": "test=null",
        "label_column": "format=conllu",
    }

    truncate: ClassVar[bool] = False  # type: ignore[misc]  # as in TreeData, whose class variables are not inherited

    format: TreeFormat = "brackets"
    tree: Literal["given", "left", "right", "balanced"] = "given"
    label_column: str = "deprel"
    label_map: dict[str, str] = field(default_factory=dict)
    list_values: bool = False
    tokenizer: str = "whitespace"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tree != "given" and self.format != "brackets":
            raise ValueError(f"tree={self.tree} builds trees over texts, which format={self.format} does not have")
        if self.list_values and (self.tree != "given" or self.format not in ("brackets", "expressions")):
            raise ValueError("list_values needs tree=given and format=brackets or format=expressions")
        if self.tokenizer in SUBWORDS:
            raise ValueError(f"tokenizer={self.tokenizer} splits words, but the words of trees are whole: use another")
        # a codec without words, which only splits
        self._codec = TextCodec(self.tokenizer, Vocabulary(SOURCE_SPECIALS), get_tokenizer(self.tokenizer))

    def tokenizer_of_inputs(self) -> str:
        return self.tokenizer

    def form(self) -> TreeForm:
        if self.tree != "given":
            return self.tree
        return "expressions" if self.format == "conllu" else self.format  # any node of a dependency tree has a word

    def read_file(self, name: str) -> list[Example]:
        path = self.path(name)
        examples = []
        for tree, where in read_treebank(path, self.format, self.label_column, self.encoding_of(path)):
            if self.list_values:
                with located(where):
                    tree = with_values(tree)
            words = [one_token(word, self._codec) for word in tree.words]
            labels = [self.label_map.get(label, "") for label in tree.labels] if self.label_map else tree.labels
            if self.label_map and not labels[-1]:
                continue
            built = Tree(words, tree.parents, labels)
            if self.tree != "given":
                built = tree_over([word for word in words if word], self.tree)
                built.labels[-1] = labels[-1]
            examples.append(example_of(built, where))
        return examples
