"""What a run saves of its tokenizer is enough to read texts as they were read in training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.files.classification_files import ClassificationFiles
from seqzoo.data.files.text_files import TextFiles
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import TextCodec, codec_from_plain, spec_from_plain, spec_to_plain
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import TOKENIZERS

TEXTS = ["A good film, (really) good!", 'Not a "good" film; bad acting.', "这部电影很好看。", "我不喜欢这个演员！"]
NAMES = [*TOKENIZERS, *SUBWORDS, "torchtext:basic_english", "reversed:bpe", "reversed:characters"]


@pytest.fixture
def table(tmp_path: Path) -> str:
    rows = "".join(f"{number % 2}\t{text}\n" for number, text in enumerate(TEXTS))
    (tmp_path / "a.tsv").write_text("label\ttext\n" + rows, encoding="utf-8")
    return str(tmp_path / "a.tsv")


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_tokenizer_reads_as_in_training(name: str, table: str) -> None:
    data = ClassificationFiles(train=table, validation=table, tokenizer=name, vocabulary_size=100, batch_size=1)
    data.load()
    spec = spec_from_plain(json.loads(json.dumps(spec_to_plain(data.spec))))
    read = {tuple(batch.inputs[0].tolist()) for batch in data.batches("train")}
    again = [encode_inputs(spec, [text]).inputs for text in TEXTS]
    assert {tuple(ids[0].tolist()) for ids in again} == read
    assert len(read) == len(TEXTS)
    assert all(not (ids == spec.inputs.vocabulary.ids["<unk>"]).any() for ids in again)


@pytest.mark.parametrize("name", ["whitespace", "words", "basic_english", "bpe", "unigram", "chinese_words"])
def test_running_text_of_any_tokenizer(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    options: dict[str, Any] = {"tokenizer": name, "vocabulary_size": 100, "batch_size": 1, "window": 500}
    data = TextFiles(train=str(path), validation=str(path), **options)
    data.load()
    spec = spec_from_plain(json.loads(json.dumps(spec_to_plain(data.spec))))
    (batch,) = data.batches("train")
    (again,) = encode_inputs(spec, [path.read_text(encoding="utf-8")]).inputs
    assert torch.equal(again[:-1], batch.inputs[0])
    assert again[-1] == spec.inputs.eos


@pytest.mark.parametrize(
    ("name", "learned"),
    [
        ("bpe", [["a"]]),
        ("bpe", [["missing", "pieces"]]),
        ("bpe", 7),
        ("unigram", ["a"]),
        ("unigram", [10**400]),
        ("unigram", None),
    ],
)
def test_a_damaged_tokenizer_is_told(name: str, learned: Any) -> None:
    plain = TextCodec.learn(name, TEXTS, max_size=100).to_plain()
    plain[SUBWORDS[name].parameter] = learned
    with pytest.raises(DataError, match=f"the saved tokenizer {name} is damaged"):
        codec_from_plain(plain)


def test_a_trained_model_cuts_what_it_predicts_for(command: Callable, table: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = [f"data.train={table}", f"data.validation={table}", "data.tokenizer=unigram", "data.vocabulary_size=100"]
    where = f"hydra.run.dir={run}"
    done = command("train", "task=classification", "data=classification_files", *options, "debug=tiny", where)
    assert done.status == 0, done.err
    assert set(command("predict", run, *TEXTS).out.split()) <= {"0", "1"}
