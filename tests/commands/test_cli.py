"""The command line from end to end, each command in an empty folder."""

from __future__ import annotations

import contextlib
import io
import json
import math
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image

from seqzoo import __version__
from seqzoo.commands import main as cli
from seqzoo.commands.predict import _lines_of_input
from seqzoo.configuration.registry import GROUPS, names, option_help
from seqzoo.contracts.errors import DataError, program

SMALL = ("debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=8")
TEXTS = {
    "captioning": "picture.png",
    "classification": "the film was good",
    "cloze": "the ___ sleeps",
    "language_modeling": "the cat",
    "regression": "0.1, 0.4",
    "forecasting": "0.1, 0.4",
    "tagging": "the cat sleeps",
    "transduction": "12+34",
    "verse": "青山",
    "polyphony": "C4+E4+G4",
    "transcription": "tones.wav",
    "tree_classification": "( ( it) ( ( is) ( bad)))",
}
COMPLETE = ("captioning", "transcription", "tree_classification")  # nothing can be added at their end
NUMBERS = ("regression", "forecasting")
REPOSITORY = Path(__file__).resolve().parents[2]


class Runs(dict[str, Path]):
    """A small run of each task, trained when it is first asked for."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def __missing__(self, task: str) -> Path:
        self[task] = self.folder / task
        with contextlib.redirect_stdout(io.StringIO()):
            cli.main(["train", f"task={task}", *SMALL, f"hydra.run.dir={self[task]}"])
        return self[task]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("task", names("task"))
def test_a_run_directory_holds_everything(runs: Runs, task: str) -> None:
    files = content(runs[task])
    events = [name for name in files if name.startswith("events.out.tfevents")]
    expected = {"config.yaml", "spec.json", "metrics.json", "curves.jsonl", "train.log", "checkpoints/last.pt", ".lock"}
    reads_tokens = task not in (*NUMBERS, "captioning", "transcription", "polyphony")
    projector = {"embeddings.tsv", "tokens.tsv", "projector_config.pbtxt"} if reads_tokens else set()
    assert set(files) == {*expected, *projector, "checkpoints/best.safetensors", *events}
    assert len(events) == 1
    metrics = json.loads(files["metrics.json"])
    for split in ("train", "validation", "test"):
        assert metrics[split]["loss" if task in NUMBERS else "loss_nats"] > 0
    assert metrics["updates"] == 8
    assert metrics["seed"] == 0
    assert metrics["choices"]["task"] == task
    assert metrics["versions"]["seqzoo"] == __version__
    assert {"parameters", "seconds", "tokens_per_second", "device", "threads", "command"} <= set(metrics)
    assert json.loads(files["spec.json"])["task"] == {
        "verse": "language_modeling",
        "captioning": "transduction",
        "forecasting": "regression",
        "transcription": "transduction",
        "tree_classification": "trees",
    }.get(task, task)
    log = files["train.log"].decode()
    assert "update 4/8" in log
    assert "update 8/8" in log
    assert f"{metrics['parameters']:,} parameters" in log
    padding = metrics["padding_share"]
    assert (padding is None) == (task in (*NUMBERS, "captioning", "language_modeling", "verse"))
    assert padding is None or f"{padding:.1%} of the steps of a batch are padding" in log


@pytest.mark.parametrize("task", names("task"))
def test_evaluate_gives_the_scores_of_the_run(runs: Runs, task: str, command: Callable) -> None:
    metrics = json.loads((runs[task] / "metrics.json").read_text())
    scores = json.loads(command("evaluate", runs[task]).out)
    assert scores.pop("split") == "test"
    assert scores.pop("report", None) == metrics["report"].get("test")
    assert scores == pytest.approx(metrics["test"])
    scores = json.loads(command("evaluate", runs[task], "split=validation", "threads=1", "device=cpu").out)
    assert scores.pop("split") == "validation"
    scores.pop("report", None)
    assert scores == pytest.approx(metrics["validation"])


def test_n_best_is_as_many_answers_as_a_task_has(runs: Runs, command: Callable) -> None:
    done = command("predict", runs["classification"], TEXTS["classification"], "--n-best", "9", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert sum(math.exp(row["score"]) for row in rows) == pytest.approx(1, abs=1e-5), "each class once"
    assert rows == sorted(rows, key=lambda row: -row["score"])
    refused = command("predict", runs["tagging"], TEXTS["tagging"], "--n-best", "9")
    assert (refused.status, refused.err) == (
        2,
        "seqzoo: n_best is 9, but task=tagging has one answer to each text: leave it out\n",
    )


def test_a_run_of_an_older_version_has_the_newer_options_by_default(
    runs: Runs, command: Callable, tmp_path: Path
) -> None:
    older = shutil.copytree(runs["tagging"], tmp_path / "older")
    text = (older / "config.yaml").read_text()
    (older / "config.yaml").write_text("".join(line for line in text.splitlines(True) if " average" not in line))
    assert command("evaluate", older) == command("evaluate", runs["tagging"])
    assert command("train", f"resume={older}", "training.steps=9").status == 0


@pytest.mark.parametrize("task", names("task"))
def test_predict_reads_arguments_or_standard_input(runs: Runs, task: str, command: Callable) -> None:
    Image.new("RGB", (20, 20)).save(TEXTS["captioning"])
    with wave.open(TEXTS["transcription"], "wb") as file:
        file.setparams((1, 2, 4_000, 0, "NONE", ""))
        file.writeframes(numpy.random.default_rng(0).integers(-9_000, 9_000, 2_000, numpy.int16).tobytes())
    more = dict.fromkeys(COMPLETE, "") | dict.fromkeys(NUMBERS, ", 0.2") | {"verse": "白雲", "polyphony": " D4"}
    texts = [TEXTS[task], TEXTS[task] + more.get(task, " zzz")]
    from_arguments = command("predict", runs[task], *texts, "--json")
    from_input = command("predict", runs[task], "--json", stdin="".join(f"{text}\n" for text in texts))
    assert from_arguments.status == from_input.status == 0
    assert from_arguments.out == from_input.out
    lines = [json.loads(line) for line in from_arguments.out.splitlines()]
    assert [line["input"] for line in lines] == texts
    for line in lines:
        assert set(line) == {"input", "prediction", "score"}
        assert line["score"] is None if task in NUMBERS else line["score"] <= 0
    plain = command("predict", runs[task], TEXTS[task]).out.rstrip("\n")
    answer = json.loads(command("predict", runs[task], TEXTS[task], "--json").out)["prediction"]
    assert plain == (answer if isinstance(answer, str) else " ".join(answer))


def test_a_tag_for_each_token(runs: Runs, command: Callable) -> None:
    [line] = command("predict", runs["tagging"], "--json", "one two three").out.splitlines()
    assert len(json.loads(line)["prediction"]) == 3


def test_conll_output_only_differs_in_the_tags(runs: Runs, command: Callable, tmp_path: Path) -> None:
    given = "# text = the cat sleeps\n1-2\tthecat\t_\t_\t_\n1\tthe\t_\t_\tq\n2\tcat\t_\t_\tq\n\n1\tsleeps\t_\t_\t_\n"
    answers = [command("predict", runs["tagging"], text).out.split() for text in ("the cat", "sleeps")]
    found = command("predict", runs["tagging"], "--conll", "--columns", "form,upos", stdin=given)
    tags = iter(tag for answer in answers for tag in answer)
    rows = [line.split("\t") for line in given.removesuffix("\n").split("\n")]
    expected = ["\t".join([*row[:3], next(tags), row[4]] if row[0].isdecimal() else row) for row in rows]
    assert found.out == "\n".join(expected) + "\n"
    plain = command("predict", runs["tagging"], "--conll", stdin="the\ncat\n\nsleeps\n")
    [first, second], [third] = answers
    row, ghost = "1\tsleeps\tsleep\t{}\tX" + "\t_" * 5, "1.1\tghost" + "\t_" * 8
    conllu = command("predict", runs["tagging"], "--conll", stdin=f"# text\n{row.format('')}\n{ghost}\n")
    assert conllu.out == f"# text\n{row.format(third)}\n{ghost}\n"
    assert plain.out == f"the\t{first}\ncat\t{second}\n\nsleeps\t{third}\n"
    paths = [tmp_path / "a.conllu", tmp_path / "b.conllu"]
    for path in paths:
        path.write_text(given)
    from_files = command("predict", runs["tagging"], "--conll", *paths, "--columns", "form,upos")
    assert from_files.out == 2 * found.out
    paths[0].write_bytes("caf\u00e9\n".encode("latin-1"))
    assert command("predict", runs["tagging"], "--conll", paths[0]).out.startswith("caf\u00e9\t")
    assert command("predict", runs["tagging"], "--conll", "no.conllu").err == "seqzoo: there is no file no.conllu\n"
    assert "is a folder, not a file" in command("predict", runs["tagging"], "--conll", tmp_path).err
    refused = command("predict", runs["classification"], "--conll", stdin=given)
    assert refused.err == (
        "seqzoo: --conll writes a tag for each token, and the run, of task=classification, has none to give\n"
    )
    assert "give two" in command("predict", runs["tagging"], "--conll", "--columns", "form", stdin=given).err


def test_an_option_of_the_task_can_be_set_to_predict(runs: Runs, command: Callable) -> None:
    run = runs["language_modeling"]

    def drawn(*options: str) -> str:
        return command("predict", run, "the cat", "--set", "search.max_length=30", *options).out

    greedy = ("--set", "search.temperature=0")
    assert drawn(*greedy, "--seed", "1") == drawn("--set", "task.search.temperature=0", "--seed", "2")
    assert drawn("--seed", "1") == drawn("--seed", "1") != drawn("--seed", "2")
    assert command("predict", run, "a", "--set", "search.temprature=0").err == (
        "seqzoo: there is no option 'task.search.temprature'. Did you mean 'task.search.temperature'?\n"
    )
    assert command("predict", run, "a", "--set", "temperature=0").err == (
        "seqzoo: there is no option 'task.temperature': it is 'task.search.temperature'\n"
    )
    assert (
        command("predict", run, "a", "--set", "temperature").err
        == "seqzoo: --set is 'temperature': write OPTION=VALUE\n"
    )
    assert (
        "it is 0 (the most probable token) or more"
        in command("predict", run, "a", "--set", "search.temperature=-1").err
    )


def test_an_empty_line_stays_in_its_place(runs: Runs, command: Callable) -> None:
    done = command("predict", runs["tagging"], stdin="the cat\n" * 70 + "\nthe cat\n")
    *before, empty, after = done.out.splitlines()
    assert (done.status, len(before), empty, after) == (0, 70, "", before[0])


def test_a_line_that_cannot_be_read_is_named(runs: Runs, command: Callable) -> None:
    done = command("predict", runs["transduction"], "--score", stdin="12+3\t15\n" * 70 + "12+3\n1+2\t3\n")
    assert (done.status, done.err) == (
        2,
        "seqzoo: line 71 has 0 tabs: write the source, one tab, and the answer\n",
    )
    lines = done.out.splitlines()
    assert [number for number, line in enumerate(lines, start=1) if not line] == [71]
    assert len(lines) == 72, "the others are answered"
    lost = command("predict", runs["transduction"], "--score", "--json", "1+2").out
    assert json.loads(lost) == {"input": "1+2", "error": done.err.split("seqzoo: ")[1].strip().replace("71", "1")}
    hopeless = command("predict", runs["transduction"], "--score", stdin="1+2\n" * 70)
    assert (hopeless.status, len(hopeless.err.splitlines())) == (2, 11)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--attention a.png --stream", "--stream writes each answer while it is generated, so that --attention would"),
        ("--json --stream", "so that --json would have no effect"),
        ("--score --n-best 2", "--score prints log-probabilities of given texts, so that --n-best would"),
        ("--score --set search.beam_size=2", "--score computes probabilities without a search"),
        ("--conll --explain", "--conll writes files with their predicted tags, so that --explain would"),
        ("--columns 0,1", "--columns has no effect without --conll: add --conll"),
        ("--to a.mid --plot a.png", "--to writes music to files, so that --plot would"),
        ("--harmonise --series", "--harmonise writes voices below a melody, so that --series would"),
        ("--score --lm run", "so that --lm would have no effect"),
    ],
)
def test_a_flag_that_would_be_ignored_is_an_error(command: Callable, flags: str, message: str) -> None:
    done = command("predict", "run", "a", *flags.split())
    assert (done.status, message in done.err) == (2, True), done.err


def test_a_run_directory_is_never_overwritten(runs: Runs, command: Callable) -> None:
    before = content(runs["tagging"])
    done = command("train", "task=tagging", *SMALL, f"hydra.run.dir={runs['tagging']}")
    assert done.status == 2
    advice = f"continue it with {program('seqzoo')} train resume={runs['tagging']}, or"
    assert done.err.startswith(f"seqzoo: {runs['tagging']} already contains a run (config.yaml): {advice}")
    assert content(runs["tagging"]) == before


def test_resume_accepts_a_later_end_only(command: Callable, tmp_path: Path) -> None:
    command("train", "task=tagging", *SMALL, "hydra.run.dir=run")
    done = command("train", "resume=run")
    assert done.status == 2
    assert "has finished (update 8): to train longer, give a later end, such as training.steps=16" in done.err

    done = command("train", "resume=run", "training.learning_rate=3", "cell=gru", "training.stepz=9")
    assert done.status == 2
    assert "there is no option 'training.stepz'" in done.err
    done = command("train", "resume=run", "training.learning_rate=3", "cell=gru")
    assert done.status == 2
    assert "training.learning_rate is " in done.err
    assert "cell is 'lstm' in the run and 'gru' now" in done.err

    done = command("train", "resume=run", "training.steps=10", "training.log_every=1")
    assert done.status == 0, done.err
    assert "update 10/10" in done.out
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["updates"] == 10

    assert command("train", "resume=run", "-m").err == (
        "seqzoo: -m cannot be combined with resume=, which continues a single run\n"
    )
    assert command("train", "resume=nowhere").err.startswith("seqzoo: nowhere is not a run directory")


@pytest.mark.slow
def test_a_sweep_finishes_although_one_job_fails(command: Callable, tmp_path: Path) -> None:
    overrides = ("task=language_modeling", "debug=tiny", "training.steps=1", "data.train_size=200")
    done = command("train", "-m", "backbone=bidirectional,unidirectional", *overrides, "hydra.sweep.dir=sweep")
    assert done.status == 2
    [run] = (tmp_path / "sweep").glob("*/metrics.json")
    assert json.loads(run.read_text())["choices"]["backbone"] == "unidirectional"
    failed = f"backbone=bidirectional {' '.join(overrides)}"
    assert f"seqzoo: {failed} failed: backbone=bidirectional reads future inputs" in done.err
    assert "1 of 2 jobs failed; why, and how to run one alone:\n  backbone=bidirectional: " in done.err
    assert done.err.endswith(f"\n    {program('seqzoo')} train {failed}\n")


def test_a_sweep_with_a_misspelled_name_does_not_start(command: Callable, tmp_path: Path) -> None:
    done = command("train", "-m", "cell=lstm,elmann", "seed=1,2", "hydra.sweep.dir=sweep")
    assert done.status == 2
    assert done.err == (
        "seqzoo: there is no cell named 'elmann'. Did you mean 'elman'? (in cell=elmann seed=1 hydra.sweep.dir=sweep)\n"
    )
    assert not (tmp_path / "sweep").exists()
    done = command("train", "-m", "cell=lstm,gru", "cell.forget_bias=2", "hydra.sweep.dir=sweep")
    assert done.err.startswith("seqzoo: there is no option 'cell.forget_bias'.")
    assert done.err.endswith("(in cell=gru cell.forget_bias=2 hydra.sweep.dir=sweep)\n")
    assert not (tmp_path / "sweep").exists()


def test_check_shows_sizes_and_all_mistakes(command: Callable) -> None:
    done = command("check", "task=tagging", "cell=gru", "encoder.embedding_size=12", "backbone.hidden_size=34")
    assert done.status == 0
    assert done.out.endswith("no mistakes\n")
    for shown in (
        "tagging",
        "grammar_tags",
        "gru",
        "(B, T) -> (B, T, 12) -> (B, T, 34) -> task",
        "memory",
        "parameters",
    ):
        assert shown in done.out
    done = command("check", "cell=elmann", "task=taging", "seed=x")
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("seqzoo: 3 mistakes\n  - there is no cell named 'elmann'. Did you mean 'elman'?\n")
    assert "Traceback" not in done.err


def test_check_says_where_a_budget_is_not_kept(command: Callable) -> None:
    done = command("check", "budget.parameters=10")
    assert "no mistakes, but the budget cannot be met unless the data are smaller" in done.out
    assert "budget.parameters is 10: the closest that cell=lstm" in done.out
    assert "shapes" not in done.out  # those of the default width would be none of this budget


def test_resume_without_a_run_starts_no_other_one(command: Callable) -> None:
    """An unset variable of a shell leaves `resume=`."""
    done = command("train", "resume=", "debug=tiny")
    assert (done.status, done.err) == (
        2, "seqzoo: resume= has no value: give the run directory to continue, as in resume=runs/my_run\n",
    )  # fmt: skip
    assert not Path("runs").exists()


def test_check_is_of_new_runs(command: Callable) -> None:
    assert command("check", "resume=runs/x").err.startswith("seqzoo: resume= is for train")


def test_help_explains_every_option(command: Callable) -> None:
    done = command("train", "--help", "task=language_modeling", "cell=elman")
    for group, name in [("cell", "elman"), ("task", "language_modeling"), ("training", "language_modeling")]:
        for option, default, what in option_help(group, name):
            is_heading = not default and f"  {group}.{option}." in done.out
            assert (f"\n  {group}.{option}:" if is_heading else f"{group}.{option}={default}") in done.out
            assert what in done.out
    for group in GROUPS:
        assert f"  {group}=" in done.out
    assert "resume=RUN_DIR" in done.out
    assert command("check", "-h", "task=tagging").out.startswith("seqzoo check [OPTION=VALUE ...]")


def test_list_names_with_wildcards(command: Callable) -> None:
    assert [line.split()[0] for line in command("list", "cells").out.splitlines()] == names("cell")
    assert command("list", "cell", "*gr*").out == command("list", "cells", "*gr*").out
    assert command("list", "cells", "gr?").out == (
        "gru  gated recurrent unit (Cho et al. 2014), reset gate after the matrix product as in torch.nn\n"
    )
    for group in ("backbones", "tasks", "data", "experiments", "encoders", "training", "debug"):
        assert command("list", group).status == 0
    assert command("list", "cels").err == "seqzoo: there is no group 'cels'. Did you mean 'cells'?\n"
    assert command("list", "cells", "zz").err == "seqzoo: no name in cells matches 'zz'\n"
    assert "groups: backbones, cells, data" in command("list").out


def test_usage_version_and_unknown_commands(command: Callable) -> None:
    for arguments in ([], ["--help"], ["help"]):
        done = command(*arguments)
        here = (
            "" if program("seqzoo") == "seqzoo" else f"\nseqzoo is not on the PATH: use {program('seqzoo')} instead\n"
        )
        assert (done.status, done.out) == (0, cli.USAGE + here)
    assert command("--version").out == f"seqzoo {__version__}\n"
    done = command("trian")
    assert (done.status, done.err) == (2, "seqzoo: there is no command 'trian'. Did you mean 'train'?\n")
    assert command("data").status == 0
    assert command("data", "get", "sst2").status == 2
    assert command("data", "fetch", "sst3").err.startswith("seqzoo: there is no data named 'sst3'. Did you mean 'sst5'")
    assert command("data", "fetch", "addition").err == (
        "seqzoo: data=addition is not fetched: it is generated, or reads files of your own\n"
    )


def test_options_of_evaluate(runs: Runs, command: Callable) -> None:
    run = runs["tagging"]
    sentences = {
        "split=tset": "split is 'tset': the data of this run has train, validation, test; choose one by split=",
        "splt=test": "'splt=test' is not an option of this command. Did you mean 'split='?",
        "threads=some": "training.threads is 'some': it must be an integer or auto",
        "device=gpu": "training.device is 'gpu': it must be auto, cpu, cuda or cuda:NUMBER",
        "precision=bf16": "training.precision is bf16, and the device is a cpu: use fp32 or fp64, or a CUDA GPU",
    }
    for option, sentence in sentences.items():
        done = command("evaluate", run, option, *([] if option.startswith("device") else ["device=cpu"]))
        assert (done.status, done.err) == (2, f"seqzoo: {sentence}\n")


@pytest.mark.slow
def test_a_process_of_its_own_reads_bytes(runs: Runs, tmp_path: Path) -> None:
    """From an empty folder, with bytes on standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "seqzoo", "predict", runs["transduction"], "--json"],
        input=b"\xef\xbb\xbf1+1\n23+45\r\n", cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["input"] for line in done.stdout.splitlines()] == ["1+1", "23+45"]


def test_bytes_of_another_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), "ascii", "surrogateescape"))
    with pytest.raises(DataError, match=r"standard input is not utf-8 \(byte 0xe9\): convert it"):
        next(_lines_of_input())


def test_scripts_forward_their_arguments(tmp_path: Path) -> None:
    for name in ("train", "evaluate", "predict"):
        done = subprocess.run(
            [sys.executable, REPOSITORY / "scripts" / f"{name}.py", "--help"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"seqzoo {name}" in done.stdout


def test_options_with_dashes_get_a_sentence(command: Callable) -> None:
    for arguments in (("train", "--task", "tagging"), ("train", "--task=tagging"), ("check", "--task", "tagging")):
        done = command(*arguments)
        assert done.status == 2
        assert "options have no dashes, as in task=tagging" in done.err
        assert "Traceback" not in done.err
    assert "there is no flag '--shell-completion'" in command("train", "--shell-completion", "install=bash").err


def test_help_of_data_fetch(command: Callable) -> None:
    done = command("data", "fetch", "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("seqzoo data fetch NAME [root=FOLDER]")


def test_the_folder_of_a_run_has_the_backbone_that_a_recipe_chose(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(
        "".join(f"{word} film {row}\t{word}\n" for row in range(10) for word in ("good", "bad"))
    )
    data = ("data=classification_files", "data.train=a.tsv", "baseline=false")
    assert command("train", "debug=tiny", "task=classification", *data, "training.steps=1").status == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["classification_files_lstm_bidirectional"]


def test_the_folder_of_a_run_has_the_names_that_aliases_stand_for(command: Callable, tmp_path: Path) -> None:
    assert command("train", "debug=tiny", "training.steps=1").status == 0
    [folder] = (tmp_path / "runs").iterdir()
    assert folder.name == "addition_lstm_unidirectional"
    [run] = folder.iterdir()
    old = tmp_path / "runs" / "addition_lstm_default" / "transduction"
    old.mkdir(parents=True)
    run.rename(old / run.name)
    compared = command("compare", "runs").out
    assert "lstm" in compared
    assert "default" not in compared
    told = command("predict", "runs/addition_lstm_default/transduction", "1+1").err
    assert f"; run directories below it: runs/addition_lstm_default/transduction/{run.name}" in told
    quoted = command("train", f"resume='{old / run.name}'")
    assert "has finished" in quoted.err
