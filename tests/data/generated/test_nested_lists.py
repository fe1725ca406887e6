"""data=nested_lists: values of lists, and no list twice."""

from __future__ import annotations

import pytest

from seqzoo.data.generated.nested_lists import NestedLists, _labelled


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[MAX 2 [MIN 4 7 ] 0 ]", "4"),
        ("[SM 8 7 [SM 1 1 ] ]", "7"),
        ("[MED 1 5 9 ]", "5"),
        ("[MED 1 5 9 3 ]", "4"),
        ("[MIN 3 [MED 2 0 ] ]", "1"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert _labelled(text).labels[-1] == value


def test_lists_differ_and_have_the_given_sizes() -> None:
    data = NestedLists(train_size=50, validation_size=10, test_size=10, depth=2, arguments=4)
    splits = data.read()
    trees = [(*example.source, *example.parents) for examples in splits.values() for example in examples]
    assert len(set(trees)) == 70
    for example in splits["train"]:
        assert max(example.parents.count(node) for node in range(len(example.parents))) <= 4
        assert sum(word.isalpha() for word in example.source) >= 1


@pytest.mark.parametrize("options", [{"depth": 0}, {"arguments": 1}, {"depth": 21}])
def test_impossible_lists_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be from 1 to 20"):
        NestedLists(**options)
