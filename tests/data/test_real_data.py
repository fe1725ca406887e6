"""The counts that the sets of conf/data are known to have: one set of each kind always, the others with -m slow."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

import seqzoo.data
from seqzoo.configuration.experiment import compose
from seqzoo.contracts import span_notation

SETS = [
    ("tiny_shakespeare", {"train": 1_003_853, "validation": 111_539}, 67),
    ("ptb_words", {"train": 929_588, "validation": 73_759, "test": 82_429}, 10_001),
    ("sst2", {"train": 6_920, "validation": 872, "test": 1_821}, 2),
    pytest.param("sst5", {"train": 8_544, "validation": 1_101, "test": 2_210}, 5, marks=pytest.mark.slow),
    pytest.param("chnsenticorp", {"train": 9_600, "validation": 1_200, "test": 1_200}, 2, marks=pytest.mark.slow),
    pytest.param("ud_english_ewt", {"train": 12_544, "validation": 2_001, "test": 2_077}, 17, marks=pytest.mark.slow),
    ("ud_chinese_gsd", {"train": 3_997, "validation": 500, "test": 500}, 15),
    pytest.param("wnut17", {"train": 3_394, "validation": 1_009, "test": 1_287}, 13, marks=pytest.mark.slow),
    ("resume_ner", {"train": 3_821, "validation": 463, "test": 477}, 33),
    pytest.param("names", {"train": 16_041, "validation": 2_027, "test": 2_006}, 18, marks=pytest.mark.slow),
    pytest.param("rt_polarity", {"train": 8_635, "validation": 960, "test": 1_067}, 2, marks=pytest.mark.slow),
    pytest.param("listops", {"train": 8_000, "validation": 1_000, "test": 1_000}, 10, marks=pytest.mark.slow),
    ("dna_splice", {"train": 2_301, "validation": 263, "test": 626}, 3),
    ("japanese_vowels", {"train": 216, "validation": 54, "test": 370}, 9),
    ("jsb_chorales", {"train": 229, "validation": 76, "test": 77}, 88),
    pytest.param("nottingham", {"train": 694, "validation": 173, "test": 170}, 88, marks=pytest.mark.slow),
    ("multi30k_de_en", {"train": 29_000, "validation": 1_014, "test": 1_000}, None),
]


@functools.cache
def load(name: str, root: str, **changes: Any) -> Any:
    """Read once: no test changes it."""
    options = compose(f"data={name}").to_plain()["data"]
    data = getattr(seqzoo.data, options.pop("class"))(**{**options, "root": root, **changes})
    data.load()
    return data


@pytest.mark.parametrize(("name", "counts", "output_size"), SETS)
def test_counts(name: str, counts: dict[str, int], output_size: int | None, real_data: str) -> None:
    data = load(name, real_data)
    assert data.splits() == counts
    assert output_size in (None, data.spec.output_size)
    batch = next(data.batches("train"))
    assert batch.size == data.batch_size


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("jsb_chorales", {"train": 13_807, "validation": 4_602, "test": 4_725}),
        pytest.param("nottingham", {"train": 176_561, "validation": 45_513, "test": 44_463}, marks=pytest.mark.slow),
    ],
)
def test_frames_of_music(name: str, frames: dict[str, int], real_data: str) -> None:
    """Each frame of a piece but the first is predicted once."""
    data = load(name, real_data)
    predicted = {split: sum(int(batch.lengths.sum()) for batch in data.batches(split)) for split in data.splits()}
    assert predicted == {split: count - data.splits()[split] for split, count in frames.items()}


@pytest.mark.slow
def test_words_of_a_treebank(real_data: str) -> None:
    data = load("ud_english_ewt", real_data)
    words = {split: sum(int(batch.lengths.sum()) for batch in data.batches(split)) for split in data.splits()}
    assert words == {"train": 204_577, "validation": 25_147, "test": 25_094}


@pytest.mark.parametrize(
    ("name", "scheme", "broken", "spans"),
    [
        pytest.param("wnut17", "bio", 0, {"train": 1_975, "validation": 836, "test": 1_079}, marks=pytest.mark.slow),
        ("resume_ner", "bmes", 4, {"train": 13_440, "validation": 1_497, "test": 1_630}),
    ],
)
def test_spans_are_the_same_in_every_scheme(
    name: str, scheme: str, broken: int, spans: dict[str, int], real_data: str
) -> None:
    data, converted = load(name, real_data), load(name, real_data, scheme="bioes")
    assert data.spec.targets.scheme == scheme
    breaks = [remark for remark in data.remarks if " sentences break" in remark]
    assert [remark.partition(" sentences break")[0] for remark in breaks] == ([str(broken)] if broken else [])
    in_its_scheme, in_bioes = (
        {split: [[*span_notation.spans(example.target)] for example in examples] for split, examples in read.items()}
        for read in (data.read(), converted.read())
    )
    assert {split: sum(map(len, found)) for split, found in in_its_scheme.items()} == spans
    assert in_bioes == in_its_scheme


def test_no_word_of_ptb_is_unknown(real_data: str) -> None:
    data = load("ptb_words", real_data)
    assert "<unk>" in data.spec.inputs.vocabulary
    text = data.spec.inputs.decode(next(data.batches("test")).inputs[0, :6].tolist())
    assert text == "no it was n't black monday"


def test_trec_is_latin_1_and_loses_no_question(real_data: str) -> None:
    data = load("trec", real_data)
    counts = data.splits()
    assert counts["train"] + counts["validation"] == 5_452
    assert counts["test"] == 500
    assert data.spec.targets.labels == ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]


@pytest.mark.slow
def test_tatoeba_pairs_are_split_by_source(real_data: str) -> None:
    data = load("tatoeba_cmn_eng", real_data)
    assert sum(data.splits().values()) == 20_133
    splits = data.read()
    sources = [{example.source for example in found} for found in splits.values()]
    assert not sources[0] & sources[1]
    assert not sources[0] & sources[2]


def test_a_set_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(seqzoo.contracts.errors.DataError, match=r"sst/stsa.binary.train .*seqzoo data fetch sst2"):
        load("sst2", str(tmp_path))
