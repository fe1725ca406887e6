"""Baselines of tags, texts, captions, numbers and notes, on sets that can be checked by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy
import pytest
import torch

from seqzoo.baselines import baselines_for
from seqzoo.baselines.contract import Split
from seqzoo.baselines.feature_tagger import FeatureTagger, features, shape
from seqzoo.baselines.fitting import BaselineScores, fit_baselines
from seqzoo.baselines.given_captions import ConstantCaption, NearestPicture
from seqzoo.baselines.nearest_source import NearestSource
from seqzoo.baselines.note_frequencies import NoteChanges, NoteFrequencies
from seqzoo.baselines.series import LastValue, LinearWindow, MeanTarget, SeasonalNaive
from seqzoo.baselines.word_tags import MostFrequentTag
from seqzoo.contracts.class_index import modules
from seqzoo.runs.baseline_scores import Baselines, configured_baselines


def scores_of(found: Baselines, *classes: type) -> list[BaselineScores]:
    return [*fit_baselines(found.data, found.task, classes)]


@pytest.fixture
def tagged(tmp_path: Path) -> Baselines:
    splits = {
        "train": [["the/O", "Ann/B-P", "Lee/I-P"], ["Bob/B-P", "the/O", "ran/O"], ["Ann/B-P", "ran/O"]],
        "validation": [["Bob/B-P", "ran/O"]],
        "test": [["the/O", "Tom/B-P", "Lee/I-P"], ["Ann/B-P", "Lee/I-P"]],
    }
    for split, rows in splits.items():
        text = "\n".join("".join(pair.replace("/", "\t") + "\n" for pair in row) for row in rows)
        (tmp_path / f"{split}.conll").write_text(text)
    paths = [f"data.{split}={tmp_path}/{split}.conll" for split in splits]
    return configured_baselines("task=tagging", "data=tagging_files", "task.metrics=[span_f1,accuracy]", *paths)


def test_tags(tagged: Baselines) -> None:
    frequent, crf = scores_of(tagged, MostFrequentTag, FeatureTagger)
    # Tom is unknown and O; Lee after it is a span of its own for conlleval
    assert frequent.scores["test"] == pytest.approx({"span_f1": 2 * 1 / (2 + 2), "accuracy": 4 / 5})
    assert crf.scores["validation"]["accuracy"] == 1.0
    assert Split(tagged.data, tagged.task, "test").tokens[0] == ["the", "Tom", "Lee"]


def test_features_of_words() -> None:
    assert shape("Ab-12c") == "Xx-ddx"
    assert shape("ABcc12", short=True) == "Xxd"
    [first, last] = features(["Ann", "ran"])
    assert {"word=Ann", "lower=ann", "prefix=an", "suffix=ann", "-1=<begin>", "+1=ran", "0,+1=ann ran"} <= set(first)
    assert "-1,0=ann ran" in last


def test_the_nearest_source_gives_its_target(tmp_path: Path) -> None:
    pairs = {
        "train": [("the cat sleeps", "le chat dort"), ("a dog barks", "un chien"), ("we are here", "nous y sommes")],
        "validation": [("a dog sleeps", "un chien dort")],
        "test": [("the cat sleeps well", "le chat dort"), ("we were here", "nous y sommes"), ("dogs", "des chiens")],
    }  # fmt: skip
    for split, rows in pairs.items():
        (tmp_path / f"{split}.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in rows))
    paths = [f"data.{split}_source={tmp_path}/{split}.tsv" for split in pairs]
    found = configured_baselines("task=transduction", "data=parallel_files", *paths)
    [scores] = scores_of(found, NearestSource)
    assert scores.scores["test"]["exact_match"] == pytest.approx(2 / 3)


def test_captions_of_other_pictures() -> None:
    sizes = ("data.train_size=200", "data.validation_size=30", "data.test_size=30")
    found = configured_baselines("task=captioning", "task.metrics=[bleu_1]", *sizes)
    splits = {name: Split(found.data, found.task, name) for name in found.data.splits()}
    constant, nearest = ConstantCaption(), NearestPicture()
    for baseline in (constant, nearest):
        baseline.fit(splits["train"], splits["validation"])
    captions = [caption for row in splits["train"].references for caption in row]
    assert constant.answer(splits["test"]).answers == [constant.description] * 30
    assert constant.description in captions
    assert set(nearest.answer(splits["test"]).answers) <= set(captions)
    nearest.neighbours = 1
    own = zip(nearest.answer(splits["train"]).answers, splits["train"].references, strict=True)
    assert all(caption in row for caption, row in own), "a picture is nearest to itself"


FEW = ("data.validation_size=5", "data.test_size=5")


def test_numbers() -> None:
    """NARMA-10 sums products of the last inputs and outputs, which the mean does not predict."""
    found = configured_baselines("task=regression", "data=narma10", "data.train_size=20", *FEW)
    mean, linear = scores_of(found, MeanTarget, LinearWindow)
    targets = torch.cat([batch.targets.flatten() for batch in found.data.batches("train")])
    test = torch.cat([batch.targets.flatten() for batch in found.data.batches("test")])
    assert mean.scores["test"]["mse"] == pytest.approx(float(((test - targets.mean()) ** 2).mean()), rel=1e-4)
    assert mean.scores["test"]["mse"] == mean.scores["test"]["loss"]
    assert mean.scores["test"]["nrmse"] == pytest.approx(1, abs=0.05)
    assert linear.scores["test"]["nrmse"] < 0.7


def test_the_last_value_of_a_series_is_near_the_next() -> None:
    found = configured_baselines("task=regression", "data=mackey_glass", "data.train_size=20", *FEW)
    assert LastValue.reads(found.data.spec)
    mean, last = scores_of(found, MeanTarget, LastValue)
    batches = [*found.data.batches("test")]
    errors = numpy.concatenate([(batch.targets - batch.inputs).square().flatten().numpy() for batch in batches])
    assert last.scores["test"]["mse"] == pytest.approx(errors.mean(), rel=1e-4)
    assert last.scores["test"]["mse"] < mean.scores["test"]["mse"]


def test_notes_by_their_frequency_and_by_the_note_before() -> None:
    found = configured_baselines("task=polyphony", "data.train_size=30", *FEW)
    frequencies, changes = scores_of(found, NoteFrequencies, NoteChanges)
    train, test = (torch.cat([b.targets[0] for b in found.data.plain_batches(split)]) for split in ("train", "test"))
    p = (train.sum(0) + 0.5) / (len(train) + 1)
    expected = -(test * p.log() + (1 - test) * (1 - p).log()).sum(1).mean()
    assert frequencies.scores["test"]["frame_nll"] == pytest.approx(float(expected))
    assert changes.scores["test"]["frame_nll"] < frequencies.scores["test"]["frame_nll"]
    assert 0.3 < changes.scores["test"]["frame_accuracy"] < 1


def test_every_file_is_found_by_its_kind(tagged: Baselines) -> None:
    assert {"MajorityClass", "KneserNey", "LinearWindow"} <= set(modules("seqzoo.baselines"))
    assert [baseline.name for baseline in baselines_for(tagged.data.spec)] == [
        "most frequent tag",
        "CRF on word features",
    ]


def test_baselines_of_forecasts_feed_back_their_answers() -> None:
    few = ("data.steps=40", "data.train_size=20", "task.horizon=6", *FEW)
    found = configured_baselines("task=forecasting", "data=mackey_glass", *few)
    last, seasonal, linear = scores_of(found, LastValue, SeasonalNaive, LinearWindow)
    batch = next(found.data.plain_batches("test"))
    expected = (batch.targets[:, 34:] - batch.inputs[:, 34:35]).abs().mean()
    assert last.scores["test"]["mae"] == pytest.approx(float(expected), rel=1e-4)
    assert linear.scores["test"]["nrmse"] < 0.5 < last.scores["test"]["nrmse"]
    period = int(re.search(r"(\d+) steps", seasonal.description)[1])
    places = [34 + step - period + 1 for step in range(6)]  # known, if the period is as long as the horizon
    expected = (batch.targets[:, 34:] - batch.inputs[:, places]).abs().mean()
    assert period < 6 or seasonal.scores["test"]["mae"] == pytest.approx(float(expected), rel=1e-4)
