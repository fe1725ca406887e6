"""Invalid input: one sentence on standard error, exit status 2, and no run directory is lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from seqzoo.training import loop

TAGGED = "the\tDET\ncat\tNOUN\n\na\tDET\nbig\tADJ\ndog\tNOUN\n\n" * 10
RUN = "hydra.run.dir=run"


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """Valid files, in the folder in which the commands run."""
    (tmp_path / "good.conll").write_text(TAGGED)
    (tmp_path / "valid.conll").write_text(TAGGED)
    (tmp_path / "source.txt").write_text("a b c\nd e\n" * 10)
    (tmp_path / "target.txt").write_text("x y\nz\n" * 10)
    (tmp_path / "good.tsv").write_text("label\ttext\n" + "good\tfine day\nbad\tawful day\n" * 10)


def tagging(**changes: str) -> list[str]:
    options = {"train": "good.conll", "validation": "valid.conll", **changes}
    return ["task=tagging", "data=tagging_files", *(f"data.{name}={value}" for name, value in options.items())]


def parallel(source: str, target: str) -> list[str]:
    train, valid = "data.train_source={} data.train_target={}", "data.validation_source={} data.validation_target={}"
    given = f"{train.format(source, target)} {valid.format('source.txt', 'target.txt')}"
    return ["task=transduction", "data=parallel_files", *given.split()]


def classification(**changes: str) -> list[str]:
    options = {"train": "good.tsv", "validation": "good.tsv", **changes}
    return ["task=classification", "data=classification_files", *(f"data.{k}={v}" for k, v in options.items())]


def sentence(command: Callable, *overrides: str, folder: str = "run") -> str:
    """The sentence with which `train` ends."""
    done = command("train", *overrides, "debug=tiny", f"hydra.run.dir={folder}")
    assert done.status == 2
    assert done.err.startswith("seqzoo: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    return done.err.removeprefix("seqzoo: ").rstrip("\n")


@pytest.mark.parametrize("kind", ["parallel", "classification"])
def test_sound_files_train(command: Callable, kind: str) -> None:
    overrides = parallel("source.txt", "target.txt") if kind == "parallel" else classification()
    done = command("train", *overrides, "debug=tiny", "recipe=none", "training.steps=1", RUN)
    assert done.status == 0, done.err


def test_no_file(command: Callable, tmp_path: Path) -> None:
    told = sentence(command, *tagging(train="god.conll"))
    assert told.startswith(f"there is no file god.conll in {tmp_path}")
    assert "set data.root or the environment variable SEQZOO_DATA" in told


def test_a_folder_in_place_of_a_file(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    assert sentence(command, *tagging(train="texts")).startswith("texts is a folder, not a file")


@pytest.mark.parametrize("content", ["", "\n\n \n"])
def test_an_empty_file(command: Callable, tmp_path: Path, content: str) -> None:
    (tmp_path / "empty.conll").write_text(content)
    assert sentence(command, *tagging(train="empty.conll")) == "empty.conll is empty: give a file with text"


def test_a_conll_line_with_too_few_columns(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "few.conll").write_text(TAGGED + "the\tDET\ncat\n\n")
    line = TAGGED.count("\n") + 2
    assert sentence(command, *tagging(train="few.conll")) == (
        f"few.conll:{line}: too few columns, 1 of at least 2: correct the line, or choose other columns"
    )


def test_source_and_target_of_different_lengths(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("x y\n" * 19)
    assert sentence(command, *parallel("source.txt", "short.txt")) == (
        "source.txt has 20 lines, but short.txt has 19: parallel files need one line per pair each"
    )


def test_bytes_that_are_not_utf_8(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "latin.conll").write_bytes("the\tDET\ncafé\tNOUN\n\n".encode("latin-1"))
    told = sentence(command, *tagging(train="latin.conll", encoding="ascii"))
    assert told.startswith("latin.conll:2: byte 0xe9 at position 11 is not ascii: set data.encoding to ")
    both = tagging(train="latin.conll", validation="latin.conll")
    done = command("train", *both, "debug=tiny", "recipe=none", "training.steps=1", "hydra.run.dir=other")
    assert "latin.conll: read as latin-1, since not UTF-8; if letters are wrong, set data.encoding" in done.out
    assert done.status == 0, done.err
    assert "café" in json.loads((tmp_path / "other" / "spec.json").read_text())["inputs"]["tokens"]


def test_a_damaged_archive(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "cut.conll.gz").write_bytes(gzip.compress(TAGGED.encode())[:-20])
    assert sentence(command, *tagging(train="cut.conll.gz")).startswith("cut.conll.gz cannot be read (")


def test_a_tag_never_seen_in_training_is_told_and_counts_as_wrong(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "new.conll").write_text(TAGGED + "the\tDET\ncat\tNUON\n\n")
    line = TAGGED.count("\n") + 1
    done = command("train", *tagging(validation="new.conll"), "debug=tiny", "recipe=none", "training.steps=1", RUN)
    assert done.status == 0, done.err
    assert (
        f"remark    labels that do not occur in training and cannot be predicted: NUON at new.conll:{line}\n"
        in done.out
    )


def test_a_class_never_seen_in_training_is_told_and_counts_as_wrong(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "new.tsv").write_text("label\ttext\ngood\tfine\nmeh\tso so\n")
    options = ["task.class_weights=balanced", "task.label_smoothing=0.1", "debug=tiny", "training.steps=1"]
    done = command("train", *classification(validation="new.tsv"), *options, RUN)
    assert done.status == 0, done.err
    assert "remark    labels that do not occur in training and cannot be predicted: meh at new.tsv:3\n" in done.out
    assert "nan" not in done.out


def test_a_column_that_is_not_there(command: Callable) -> None:
    assert (
        sentence(command, *classification(text_column="txt"))
        == "good.tsv has no column 'txt' (data.text_column; table with columns separated by tabs, column 'label', "
        "column 'text'). Did you mean 'text'?"
    )


def test_a_sentence_without_tokens(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "gap.txt").write_text("a b c\n\n" + "d e\n" * 18)
    assert sentence(command, *parallel("gap.txt", "target.txt")).startswith("gap.txt:2: the source is empty")
    (tmp_path / "gap.tsv").write_text("label\ttext\ngood\tfine\nbad\t\n")
    assert "gap.tsv:3: " in sentence(command, *classification(train="gap.tsv"), folder="other")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            r'{"text": "cut \ud83d", "label": "good"}',
            r"\ud83d is half of a character (an unpaired surrogate): correct the text",
        ),
        ('{"text": "fine", "label": null}', "'label' is null: remove the row, or fill it in"),
    ],
)
def test_a_line_of_json_that_is_refused_leaves_no_folder(
    command: Callable, tmp_path: Path, line: str, told: str
) -> None:
    rows = '{"text": "fine", "label": "good"}\n{"text": "awful", "label": "bad"}\n'
    (tmp_path / "a.jsonl").write_text(f"{rows}{line}\n")
    assert sentence(command, *classification(train="a.jsonl")).startswith(f"a.jsonl:3: {told}")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_sentence_of_20_000_tokens(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "long.conll").write_text(TAGGED + "the\tDET\n" * 20_000)
    line = TAGGED.count("\n") + 1
    assert sentence(command, *tagging(train="long.conll")) == (
        f"long.conll:{line}: the source has 20,000 tokens, more than data.max_length=1,000: raise it, or set "
        "data.truncate=true"
    )
    cut = [*tagging(train="long.conll"), "data.truncate=true", "data.max_length=20", "training.steps=1"]
    done = command("train", "debug=tiny", "recipe=none", *cut, "hydra.run.dir=cut")
    assert done.status == 0, done.err


def test_a_text_that_is_too_short(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("abc")
    overrides = ["task=language_modeling", "data=text_files", "data.train=short.txt", "data.validation=target.txt"]
    assert "3 tokens, too few for data.batch_size=8 streams" in sentence(command, *overrides)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_batch_larger_than_memory(
    command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """In the seventh update, after a validation has saved the run."""
    update, done = loop.update, []

    def fail_at_last(*arguments: object) -> object:
        done.append(arguments)
        if len(done) == 7:
            raise error
        return update(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "update", fail_at_last)
        told = sentence(command, *tagging())
    assert told.startswith("the batch does not fit into memory: lower data.batch_size or data.max_tokens")
    resumed = command("train", "resume=run")
    assert resumed.status == 0, resumed.err
    assert "after update 4" in resumed.out
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["updates"] == 8


def test_another_error_of_torch_is_not_called_a_lack_of_memory(
    command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(loop, "update", fail)
    with pytest.raises(RuntimeError, match=r"^shapes differ\nin update 1$"):  # a bug of ours: Python shows where
        command("train", *tagging(), "debug=tiny", RUN)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("training.device=cuda", "training.device is cuda, but torch sees 0 CUDA GPUs here"),
        ("training.device=cuda:3", "training.device is cuda:3, but torch sees 0 CUDA GPUs here"),
        (
            "training.precision=bf16",
            "training.precision is bf16, and the device is a cpu: use fp32 or fp64, or a CUDA GPU",
        ),
        (
            "training.precision=fp16",
            "training.precision is fp16, and the device is a cpu: use fp32 or fp64, or a CUDA GPU",
        ),
    ],
)
def test_a_device_that_is_not_there_leaves_no_folder(command: Callable, tmp_path: Path, option: str, told: str) -> None:
    assert sentence(command, *tagging(), option) == told
    assert not (tmp_path / "run" / "config.yaml").exists()
    checked = command("check", *tagging(), option)
    assert (checked.status, checked.err, checked.out) == (2, f"seqzoo: {told}\n", "")


@pytest.fixture
def run(command: Callable, tmp_path: Path) -> Iterator[Path]:
    done = command("train", *tagging(), "debug=tiny", "recipe=none", "training.steps=2", RUN)
    assert done.status == 0, done.err
    return tmp_path / "run"


def refused(done: object) -> str:
    assert done.status == 2
    assert done.err.count("\n") == 1
    return done.err


def test_damaged_weights(command: Callable, run: Path) -> None:
    path = run / "checkpoints" / "best.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:50], b"", flipped(whole, len(whole) - 9), b"PK\x03\x04 something else"):
        path.write_bytes(damaged)
        for arguments in (["evaluate", run, "split=validation"], ["predict", run, "the cat"]):
            told = refused(command(*arguments))
            assert told.startswith(f"seqzoo: {path} is damaged")
    path.unlink()
    assert refused(command("predict", run, "a")).startswith(f"seqzoo: there is no checkpoint {path}")
    path.write_bytes(whole)
    assert command("predict", run, "a").status == 0


def test_a_damaged_training_state(command: Callable, run: Path) -> None:
    path = run / "checkpoints" / "last.pt"
    whole = path.read_bytes()
    for damaged in (whole[:-100], b"", flipped(whole, len(whole) // 2)):
        path.write_bytes(damaged)
        assert refused(command("train", f"resume={run}", "training.steps=4")).startswith(f"seqzoo: {path} is damaged")
        assert path.read_bytes() == damaged
    torch.save({"model": {}}, path)
    assert "is not a checkpoint of this version of seqzoo" in refused(
        command("train", f"resume={run}", "training.steps=4")
    )
    path.write_bytes(whole)
    assert command("train", f"resume={run}", "training.steps=4").status == 0


def test_what_works_without_a_checkpoint_and_what_does_not(command: Callable, run: Path) -> None:
    best, last, metrics = (
        run / name for name in ("checkpoints/best.safetensors", "checkpoints/last.pt", "metrics.json")
    )
    state = last.read_bytes()
    last.unlink()
    for steps in ([], ["training.steps=4"]):  # the training must not begin anew over the finished one
        message = refused(command("train", f"resume={run}", *steps))
        assert message.startswith(f"seqzoo: there is no checkpoint {last}, which a training continues from")
    for arguments in (["evaluate", run, "split=validation"], ["predict", run, "the cat"], ["compare", run]):
        assert command(*arguments).status == 0
    best.unlink()
    assert "restore it from a copy, or train again" in refused(command("predict", run, "the cat"))
    assert command("compare", run).status == 0
    last.write_bytes(state)
    metrics.unlink()
    assert "has not reached a validation; to continue it: " in refused(command("evaluate", run, "split=validation"))


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_weights_of_another_model(command: Callable, run: Path, tmp_path: Path) -> None:
    command("train", *tagging(), "debug=tiny", "recipe=none", "training.steps=2", "cell=gru", "hydra.run.dir=other")
    (run / "checkpoints" / "best.safetensors").write_bytes(
        (tmp_path / "other" / "checkpoints" / "best.safetensors").read_bytes()
    )
    assert "best.safetensors belongs to another model: " in refused(command("predict", run, "the cat"))


def test_damaged_descriptions(command: Callable, run: Path) -> None:
    for name, text in (
        ("spec.json", "{"),
        ("config.yaml", "a: [1"),
        ("config.yaml", "choices: 1"),
    ):
        whole = (run / name).read_text()
        (run / name).write_text(text)
        assert refused(command("predict", run, "the cat")).startswith(f"seqzoo: {run / name} ")
        (run / name).write_text(whole)
    (run / "spec.json").write_text("{}")
    assert "vocabularies of the run are damaged: there is no task" in refused(command("predict", run, "the cat"))
    (run / "spec.json").unlink()
    assert (
        refused(command("predict", run, "the cat")) == f"seqzoo: {run} has no spec.json: the run did not get that far\n"
    )
    assert "is not a run directory: there is no config.yaml in it" in refused(command("predict", run.parent, "the cat"))
