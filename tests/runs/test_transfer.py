"""Fine-tuning: a new training takes encoder and backbone from an earlier run."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import seqzoo
from seqzoo.configuration.overrides import examine
from seqzoo.configuration.recipe import tailored
from seqzoo.contracts.errors import CheckpointError, DataError
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.extending import extended
from seqzoo.runs.lifecycle import start
from seqzoo.training.record.files import BEST, CHECKPOINTS, CONFIG

TINY = (
    "debug=tiny", "cell.engine=reference", "training.steps=2", "training.validate_every=2", "training.examples=0",
    "training.diagnostics=0",
)  # fmt: skip
NEW_WORDS = ("zebra", "quokka")


def trained_language_model(texts: Path, run: Path, *options: str) -> Path:
    text = texts / "text.txt"
    text.write_text("the story is dull .\nthis film was wonderful .\nthe cat sleeps .\n" * 20, encoding="utf-8")
    data = ("data=text_files", f"data.train={text}", "data.tokenizer=words", "recipe=none")
    seqzoo.train("task=language_modeling", *data, *options, *TINY, f"hydra.run.dir={run}")
    return run


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return trained_language_model(folder, folder / "language_model", "cell=gru", "backbone=deep")


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    """A table of texts with words of the language model, and new ones."""
    texts = [f"the story is {word}" for word in ("dull", "wonderful") for _ in range(5)]
    rows = [f"{text} {new},{i % 2}" for i, text in enumerate(texts) for new in (*NEW_WORDS, "film")]
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return f"data.train={path}"


def classifier(language_model: Path, reviews: str) -> tuple[str, ...]:
    return ("task=classification", "data=classification_files", reviews, f"init={language_model}")


def test_encoder_and_backbone_are_those_of_the_run(language_model: Path, reviews: str) -> None:
    trained = seqzoo.load(language_model)
    model, data = seqzoo.build(*classifier(language_model, reviews))
    old, new = trained.spec.inputs, data.spec.inputs
    assert isinstance(old, TextCodec)
    assert isinstance(new, TextCodec)
    assert new.vocabulary.tokens[: old.size] == old.vocabulary.tokens
    assert set(NEW_WORDS) <= {*new.vocabulary.tokens[old.size :]}
    weights, before = model.encoder.state_dict()["embedding.weight"], trained.model.encoder.state_dict()
    assert torch.equal(weights[: old.size], before["embedding.weight"])
    assert torch.equal(weights[old.size :], before["embedding.weight"].mean(0).expand(new.size - old.size, -1))
    for name, tensor in trained.model.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor)
    assert model.task.spec.output_size == 2


def test_a_run_of_its_own_that_no_longer_needs_the_original(
    language_model: Path, reviews: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(language_model, "original")
    run = seqzoo.train(*classifier(Path("original"), reviews), *TINY)
    assert run.folder.parent.name == "classification_files_gru_deep"
    config = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
    digest = hashlib.sha256((language_model / BEST).read_bytes()).hexdigest()
    assert (config["init"], config["origin"]) == ("original", {"run": "original", "sha256": digest})
    assert f"original (sha256 {digest[:12]}); 2 new words" in (run.folder / "train.log").read_text(encoding="utf-8")
    shutil.rmtree("original")
    longer = seqzoo.train(f"resume={run.folder}", "training.steps=4")
    assert longer.metrics["updates"] == 4
    assert seqzoo.load(run.folder).predict(["the story is zebra"])[0].answer in ("0", "1")


def test_a_resumed_run_that_has_not_begun_starts_from_the_same_weights_only(
    language_model: Path, reviews: str, tmp_path: Path
) -> None:
    original, folder = tmp_path / "original", tmp_path / "run"
    shutil.copytree(language_model, original)
    experiment, _ = examine(*classifier(original, reviews), "recipe=none", *TINY)
    assert experiment is not None
    start(experiment, folder)
    shutil.rmtree(folder / CHECKPOINTS)
    assert seqzoo.train(f"resume={folder}").metrics["updates"] == 2
    shutil.rmtree(folder / CHECKPOINTS)
    other = trained_language_model(tmp_path, tmp_path / "other", "cell=gru", "backbone=deep", "seed=1")
    shutil.copy(other / BEST, original / BEST)
    with pytest.raises(CheckpointError, match="sha256 has changed"):
        seqzoo.train(f"resume={folder}")


FILES = ("data=classification_files", "data.train=x.csv")
CONTRADICTIONS = [
    (("cell=lstm",), "cell=lstm contradicts .* which has cell=gru: leave it out"),
    (("backbone.hidden_size=32",), "backbone.hidden_size is 32, .* are for 16"),
    (("encoder.embedding_size=8", "backbone.dropout=0.1"), "encoder.embedding_size is 8, .* are for 64"),
    ((*FILES, "data.tokenizer=characters"), "data.tokenizer is characters, and .* was trained with words"),
    ((*FILES, "data.vectors=x.txt"), "data.vectors gives embeddings, and those of .* are used"),
    (("budget.parameters=20k",), "budget.parameters sets backbone.hidden_size"),
    (("task=captioning",), "its encoder reads text, and these data are pictures"),
    (("task=regression",), "its encoder reads text, and these data are numbers"),
    (("task=transcription", "init=pretrained:fsdd_gru"), "sound at 8,000 Hz, and these data are sound at 4,000 Hz"),
    (("init=pretrained:gone",), "there is no pretrained network named 'gone'"),
    (("init=nowhere",), "init=nowhere cannot be used: nowhere is not a run directory"),
    (("init=7",), "init is 7: it must be a run directory"),
    (
        ("encoder.dropout=0", "backbone.dropout=0", "training.freeze=gradual", "learning=rtrl"),
        "learning=rtrl follows the weights .* freezes them: leave it out",
    ),
    (("init=null", "training.freeze=body"), "training.freeze=body keeps weights as they are"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), CONTRADICTIONS, ids=[given[-1] for given, _ in CONTRADICTIONS])
def test_what_cannot_be_taken_over_is_said_before_data_are_read(
    given: tuple[str, ...], message: str, language_model: Path
) -> None:
    _, mistakes = examine("task=classification", f"init={language_model}", *given)
    [mistake] = mistakes
    assert re.search(message, mistake)


def test_expressions_in_a_run_are_not_evaluated(
    language_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    copy = tmp_path / "copy"
    shutil.copytree(language_model, copy)
    config = yaml.safe_load((copy / CONFIG).read_text(encoding="utf-8"))
    config["encoder"]["dropout"] = "${oc.env:TOKEN}"
    (copy / CONFIG).write_text(yaml.safe_dump(config), encoding="utf-8")
    _, [mistake] = examine("task=classification", f"init={copy}")
    assert re.search(r"its config.yaml has .*\$\{oc.env:TOKEN\}", mistake)
    assert "secret" not in mistake


def test_options_that_change_no_shape_may_be_given(language_model: Path) -> None:
    given = ("encoder.dropout=0.3", "backbone.dropout=0.1", "cell=gru")
    experiment, mistakes = examine("task=tagging", f"init={language_model}", *given)
    assert mistakes == []
    assert experiment is not None
    assert (experiment.encoder["dropout"], experiment.backbone["dropout"]) == (0.3, 0.1)
    assert experiment.choices["backbone"] == "deep"


def test_a_recipe_leaves_the_trained_part_alone(language_model: Path, reviews: str) -> None:
    experiment, mistakes = examine(*classifier(language_model, reviews), "recipe=auto")
    assert experiment is not None, mistakes
    completed, _ = tailored(experiment)
    assert completed.recipe == "auto"
    for group in ("encoder", "cell", "backbone"):
        assert getattr(completed, group) == getattr(experiment, group)
        assert completed.choices[group] == experiment.choices[group]


def test_texts_of_another_kind_are_refused(language_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "sums.csv"
    path.write_text("text,label\n" + "".join(f"{n}+{n} {n},{n % 2}\n" for n in range(40)), encoding="utf-8")
    with pytest.raises(DataError, match=r"100% of the training tokens, such as .* whose tokens are words"):
        seqzoo.build(*classifier(language_model, f"data.train={path}"))


def test_a_language_model_continues_from_a_classifier(language_model: Path, reviews: str, tmp_path: Path) -> None:
    folder = tmp_path / "classifier"
    files = ("data=classification_files", reviews, "data.tokenizer=whitespace", "recipe=none")
    seqzoo.train("task=classification", *files, *TINY, f"hydra.run.dir={folder}")
    text = tmp_path / "text.txt"
    text.write_text("the story is dull\nthe film is wonderful\n" * 60, encoding="utf-8")
    model, data = seqzoo.build("task=language_modeling", "data=text_files", f"data.train={text}", f"init={folder}")
    trained = seqzoo.load(folder)
    codec = data.spec.inputs
    assert isinstance(codec, TextCodec)
    assert codec.name == "lines:whitespace"
    assert codec.eos == trained.spec.input_size
    assert torch.equal(
        model.encoder.state_dict()["embedding.weight"][: trained.spec.input_size],
        trained.model.encoder.state_dict()["embedding.weight"],
    )


def test_numbers_of_another_size_are_refused(tmp_path: Path) -> None:
    folder, small = tmp_path / "adding", ("data.train_size=9", "data.validation_size=9", "data.test_size=9")
    adding = ("task=regression", "data=adding", "data.steps=9", *small)
    seqzoo.train(*adding, *TINY, f"hydra.run.dir={folder}")
    model, _ = seqzoo.build(*adding, f"init={folder}")
    assert torch.equal(next(model.backbone.parameters()), next(seqzoo.load(folder).model.backbone.parameters()))
    with pytest.raises(DataError, match="its encoder reads 2 numbers per step, and these data have 1"):
        seqzoo.build("task=regression", "data=narma10", *small, f"init={folder}")


def test_new_tokens_are_added_by_frequency_up_to_a_size() -> None:
    codec = TextCodec.learn("whitespace", ["a b c d"])
    texts = ["a b c d y x x z", "a b c d z z"]
    assert extended(codec, texts).vocabulary.tokens[codec.size :] == ["z", "x", "y"]
    assert extended(codec, texts, min_frequency=2).vocabulary.tokens[codec.size :] == ["z", "x"]
    assert extended(codec, texts, max_size=codec.size + 1).vocabulary.tokens[codec.size :] == ["z"]
    assert extended(codec, texts, max_size=3).vocabulary.tokens == codec.vocabulary.tokens
    assert codec.encode("<pad> z") == [1, 1]


def test_subwords_remain_as_learned() -> None:
    codec = TextCodec.learn("bpe", ["the film is dull", "the films are wonderful"] * 5, max_size=100)
    assert extended(codec, ["the film was long"] * 3) is codec


def test_an_encoder_of_spelling_needs_it_in_the_new_data(tmp_path: Path) -> None:
    folder = tmp_path / "tagger"
    path = tmp_path / "tags.tsv"
    path.write_text("".join(f"the\tD\ncat{n % 7}\tN\n\n" for n in range(30)), encoding="utf-8")
    tagging = ("task=tagging", "data=tagging_files", f"data.train={path}", "recipe=none")
    spelled = ("encoder=words_and_characters", "data.characters=9")
    seqzoo.train(*tagging, *spelled, *TINY, f"hydra.run.dir={folder}")
    experiment, mistakes = examine(*tagging, f"init={folder}")
    assert mistakes == []
    assert experiment is not None
    assert (experiment.choices["encoder"], experiment.data["characters"]) == ("words_and_characters", 9)
    model, _ = seqzoo.build(*tagging, f"init={folder}")
    before = seqzoo.load(folder).model.encoder.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.encoder.state_dict().items())
