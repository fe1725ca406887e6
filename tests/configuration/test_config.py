"""The registry: names, help texts, and reports of all mistakes in the overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

import seqzoo
from seqzoo.configuration import composing, registry
from seqzoo.configuration.composing import compose, examine
from seqzoo.configuration.registry import GROUPS, names, option_help, summary
from seqzoo.configuration.sweeps import jobs
from seqzoo.contracts.errors import LONGEST_SENTENCE, ConfigError, printable


@pytest.fixture(autouse=True)
def no_folders_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_user_dirs", [])


EVERY_NAME = [(group, name) for group in GROUPS for name in names(group)]


@pytest.mark.parametrize(("group", "name"), EVERY_NAME, ids=lambda value: value)
def test_every_name_has_a_description(group: str, name: str) -> None:
    assert len(summary(group, name)) > 10


@pytest.mark.parametrize(
    ("group", "name"), [(g, n) for g, n in EVERY_NAME if g not in ("experiment", "debug")], ids=lambda value: value
)
def test_every_option_has_a_description(group: str, name: str) -> None:
    """A comment of its own, or that of the option that contains it."""
    told = {option: what for option, _, what in option_help(group, name)}
    silent = [option for option in told if not any(told.get(part) for part in with_parents(option))]
    assert silent == []
    assert {option.split(".")[0] for option in told} == set(composing.load(group, name)) - {"class"}


def with_parents(option: str) -> list[str]:
    parts = option.split(".")
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]


def test_help_is_inherited_and_shows_the_nearest_default() -> None:
    told = {option: (default, what) for option, default, what in option_help("backbone", "bidirectional")}
    assert told["bidirectional"] == (
        "true",
        "add a second cell per layer that reads backwards; outputs are twice as wide",
    )
    assert told["num_layers"] == ("1", "number of stacked layers")


def test_names_match_wildcards() -> None:
    assert names("cell", "*gru*") == seqzoo.list_cells("*gru*")
    assert "gru" in names("cell", "g?u")
    assert names("cell", "x*") == []
    assert "tagging" in seqzoo.list_tasks()
    assert not any("default" in name for name in names("data"))


def test_choices_have_real_names() -> None:
    config = compose("task=tagging")
    assert config["choices"]["data"] == "grammar_tags"
    assert config["choices"]["training"] == "tagging"
    assert config["overrides"] == ["task=tagging"]
    assert config["data"]["seed"] == 0  # ${seed}


def mistakes_of(*overrides: str) -> list[str]:
    return examine(*overrides)[1]


def test_an_unreadable_override_says_how_to_write_it() -> None:
    assert examine("task=tagging cell=gru")[1] == [
        "'task=tagging cell=gru' is 2 options in one string: write 'task=tagging', 'cell=gru'"
    ]
    [sentence] = examine(f"data.words=[{','.join('a' * 1101)}]")[1]
    assert "has 1,102 commas, colons and brackets, and an override at most 1,000" in sentence


def test_all_mistakes_are_reported_together() -> None:
    config, mistakes = examine(
        "cell=elmann", "training.learning_rte=3", "backbone.hiden_size=5", "seed=7", "foo", "+sed=1"
    )
    assert mistakes == [
        "there is no cell named 'elmann'. Did you mean 'elman'?",
        "'foo' has no value: write foo=VALUE",
        "there is no option 'training.learning_rte'. Did you mean 'training.learning_rate'?",
        "there is no option 'backbone.hiden_size'. Did you mean 'backbone.hidden_size'?",
        "there is no option 'sed'. Did you mean 'seed'?",
    ]
    assert config["seed"] == 7  # what the overrides without mistakes give


@pytest.mark.parametrize(
    ("override", "mistake"),
    [
        ("data=default/taging", "there is no data named 'default/taging'."),
        ("cell=", "there is no cell named ''."),
        ("~cell", "'~cell' leaves a model without its cell: choose one with cell=..."),
        ("cell=lstm,gru", "'cell=lstm,gru' gives several values: that makes a sweep, with -m"),
        ("seed=1,2", "'seed=1,2' gives several values: that makes a sweep, with -m"),
        ("learning=null", "'learning=null' chooses nothing: name one. There are: bptt"),
        ("cell.forget_bias=[1", "cell.forget_bias is '[1', which cannot be read as a value (its brackets"),
        ("data.train=<a>", "data.train is '<a>', which cannot be read as a value: quote it"),
        ("data.label_until=,", "data.label_until is ',', which cannot be read as a value (there is nothing after"),
        ("data.limit=" + "9" * 5000, "data.limit is '999"),
        ("seed=${seed}", "'seed=${seed}' cannot be used: Recursive interpolation detected"),
        ("hydra/launcher=1e-8", "'hydra/launcher=1e-8' cannot be used: a group takes a name, as in hydra/l"),
        ("hydra/output=x", "'hydra/output=x' cannot be used: there is no hydra/output named 'x'. There are: default"),
        ("hydra.run=3", "'hydra.run=3' cannot be used: Hydra takes another type of value there"),
        ("+cell.class=x", "'+cell.class=x' cannot be used: there is such an option already, leave out the +"),
        ("seed=a=b", "seed is 'a=b', which cannot be read as a value: quote it"),
        ("hydra.searchpath=[pkg://x]", "'hydra.searchpath=[pkg://x]' cannot be given on the command line: give the"),
        ("+cell@x=gru", "'+cell@x=gru' has a part that seqzoo does not use: write cell=NAME without '@...'"),
        ("cell=../task/tagging", "there is no cell named '../task/tagging'."),
        ("data.limit=" + "[1," * 600, "'data.limit=[1,[1,"),
        ("training.betas.class=0", "training.betas.class: training.betas has no options below it"),
        ("hidden_size=64", "there is no option 'hidden_size': it is 'backbone.hidden_size'"),
        ("cell.hidden_size=64", "there is no option 'cell.hidden_size': it is 'backbone.hidden_size'"),
        ("lr=0.1", "there is no option 'lr': it is 'training.learning_rate'"),
        ("batch_size=8", "there is no option 'batch_size': it is 'data.batch_size'"),
        ("epochs=8", "there is no option 'epochs': it is 'training.epochs'"),
        ("dropout=0.1", "there is no option 'dropout': it is 'backbone.dropout' or 'encoder.dropout'"),
        ("learning_rte=1", "there is no option 'learning_rte'. Did you mean 'training.learning_rate'?"),
        ("cell.forget_bias.x=1", "cell.forget_bias.x: cell.forget_bias has no options below it"),
        ("task.search.beam_siz=3", "there is no option 'task.search.beam_siz'. Did you mean 'task.search.beam_size'"),
        ("hydra.rn.dir=x", "there is no option 'hydra.rn.dir'"),
        ("data.trian=a.csv", "there is no option 'data.trian'. Did you mean 'data.train'? data=addition does not have"),
        ("data.train=a.csv", "there is no option 'data.train'. data=addition does not have it, but these do: audio_"),
        ("task.poolin=mean", "there is no option 'task.poolin'. Did you mean 'task.pooling'? task=transduction does"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(override: str, mistake: str) -> None:
    [told] = ConfigError(mistakes_of(override)).mistakes
    assert told.startswith(mistake)
    assert len(told) <= LONGEST_SENTENCE
    assert printable(told) == told


def test_a_value_that_needs_quotes_is_shown_with_them() -> None:
    for value, quoted in ((",", "','"), ("it's,", '"it\'s,"'), ("a\\b:[", r"'a\\b:['")):
        [told] = mistakes_of(f"data.label_until={value}")
        assert f"data.label_until={quoted}" in told
        [missing] = mistakes_of(f"data.label_until={quoted}")
        assert missing.startswith("there is no option 'data.label_until'")


def test_overrides_that_are_valid() -> None:
    assert mistakes_of("hydra.run.dir=x", "data=grammar_tags", "++training.epochs=3", "+data.prefix=x") == []
    assert mistakes_of("hydra/job_logging=stdout", "hydra.job_logging.root.level=ERROR") == []


def test_an_option_of_another_that_is_not_there_is_not_set() -> None:
    assert compose("encoder=features")["task"]["decoder"]["embedding_size"] == composing.MISSING


def test_compose_raises_all_mistakes() -> None:
    with pytest.raises(ConfigError) as raised:
        compose("cell=elmann", "task=taging")
    assert len(raised.value.mistakes) == 2


def test_a_sweep_is_every_combination() -> None:
    assert jobs("cell=lstm,gru", "seed=range(2)", "task=tagging") == [
        [f"cell={cell}", f"seed={seed}", "task=tagging"] for cell in ("lstm", "gru") for seed in (0, 1)
    ]
    assert jobs("cell=glob(*)") == [[f"cell={name}"] for name in names("cell")]
    assert jobs("cell=glob(x*)", "foo") == [["cell=glob(x*)", "foo"]]


def own_folder(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_folder_of_ones_own_adds_names(tmp_path: Path) -> None:
    folder = own_folder(
        tmp_path / "my, 'own' conf",
        cell__mine="# a cell of mine\ndefaults:\n  - lstm\n  - _self_\nforget_bias: 3.0\n",
        experiment__mine="# @package _global_\n# mine\ndefaults:\n  - override /cell: mine\n",
        task__mine="defaults:\n  - tagging\n  - override /data@_global_.data: mine\n",
        data__mine="defaults: [grammar_tags]\n",
    )
    registry.use_config_dir(folder)
    assert "mine" in seqzoo.list_cells()
    assert summary("cell", "mine") == "a cell of mine"
    told = {option: (default, what) for option, default, what in option_help("cell", "mine")}
    assert told["forget_bias"] == ("3.0", "initial bias of the forget gate; 0 in the original paper")
    config = compose("experiment=mine", "task=mine")
    assert config["cell"].items() >= {**composing.load("cell", "lstm"), "forget_bias": 3.0}.items()
    assert config["choices"]["cell"] == "mine"
    assert config["choices"].items() >= {"data": "mine", "training": "tagging", "backbone": "unidirectional"}.items()
    assert config["data"] == composing.load("data", "grammar_tags") | {"seed": 0}
    assert compose("task=mine", "data=recall")["choices"]["data"] == "recall"


@pytest.mark.parametrize(
    ("task", "chosen"),
    [("captioning", ("pointwise", "image_cnn", "shapes")), ("verse", ("unidirectional", "tokens", "generated_poems")),
     ("cloze", ("bidirectional", "tokens", "grammar_cloze")),
     ("regression", ("unidirectional", "features", "narma10")),
     ("polyphony", ("unidirectional", "features", "chord_progressions"))],
)  # fmt: skip
def test_a_task_chooses_what_it_runs_with(task: str, chosen: tuple[str, ...]) -> None:
    choices = compose(f"task={task}")["choices"]
    assert tuple(choices[group] for group in ("backbone", "encoder", "data")) == chosen
    assert choices["training"] == task
    others = ("backbone=deep", "encoder=tokens", "data=trec", "training=base")
    assert compose(f"task={task}", *others)["choices"].items() >= dict(text.split("=") for text in others).items()


def test_a_name_cannot_be_taken_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lstm\.yaml: there is a cell of this name already, choose another"):
        registry.use_config_dir(own_folder(tmp_path, cell__lstm="class: GRU\n"))
    assert compose()["cell"]["class"] == "LSTM"


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_a_folder_that_is_none_is_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match="which is not a folder"):
        registry.use_config_dir(folder)


def test_a_file_that_was_edited_is_read_again(tmp_path: Path) -> None:
    text = "# mine\ndefaults: [lstm, _self_]\nforget_bias: {}\n"
    registry.use_config_dir(own_folder(tmp_path, cell__mine=text.format(3.0)))
    assert compose("cell=mine")["cell"]["forget_bias"] == 3.0
    own_folder(tmp_path, cell__mine=text.format(3.25))
    assert compose("cell=mine")["cell"]["forget_bias"] == 3.25
    changed = compose("cell=mine", "cell.forget_bias=4", "+data.prefix={a: 1}")
    changed["cell"]["forget_bias"] = changed["choices"]["cell"] = "spoiled"
    assert compose("cell=mine")["cell"]["forget_bias"] == 3.25
    assert compose("cell=mine")["choices"]["cell"] == "mine"


@pytest.mark.parametrize(
    "overrides",
    [("cell=gru", "seed=7", "training.betas=[0.5,0.75]"), ("task=tagging", "data.seed=${seed}", "seed=3"),
     ("data.batch_size='9'", "resume=null", "cell.chrono=1e3"), ("++cell.chrono=5", "allow_modules=[a.b]")],
)  # fmt: skip
def test_values_are_set_as_hydra_sets_them(overrides: tuple[str, ...]) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(registry.CONF_DIR), version_base="1.3"):
        whole = OmegaConf.to_container(hydra_compose("config", list(overrides)), resolve=True)
    found = compose(*overrides)
    assert {name: found[name] for name in whole} == whole


def test_differences_are_of_options_that_either_has() -> None:
    before, after = {"a": 1, "b": {"c": 2, "d": 3}, "e": 5}, {"a": 1, "b": {"c": 4, "d": 3, "f": 6}, "g": {"h": 7}}
    assert composing.differences(before, after) == {
        "b.c": (2, 4), "b.f": (None, 6), "e": (5, None), "g.h": (None, 7),
    }  # fmt: skip


def test_a_file_of_ones_own_that_is_no_yaml_or_lacks_options_is_one_mistake(command: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "conf/training"
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_text("defaults: [base, _self_]\nlearning_rate: [1\n")
    (folder / "alone.yaml").write_text("learning_rate: 0.1\nepochs: 3\n")
    for name, told in {
        "broken": f"seqzoo: {folder}/broken.yaml:3: this is not YAML (",
        "alone": "seqzoo: training has no steps, optimizer, weight_decay and ",
    }.items():
        done = command("check", "--config-dir", "conf", f"training={name}")
        assert (done.status, done.err[: len(told)], done.err.count("\n")) == (2, told, 1)


@pytest.mark.parametrize(
    "more", ["data.seed=4", "hydra.job.config.override_dirname.exclude_keys=[seed]", "training.device='a b=c'"]
)
def test_the_names_of_run_directories_are_those_of_hydra(more: str) -> None:
    overrides = ["task=tagging", "seed=3", "cell=gru", "training.betas=[0.8,0.9]", more]
    with initialize_config_dir(str(registry.CONF_DIR), version_base="1.3"):
        by_hydra = hydra_compose("config", overrides=overrides, return_hydra_config=True)
    ours = composing.for_hydra(*overrides)
    assert ours.hydra.job.override_dirname == by_hydra.hydra.job.override_dirname
    assert ours.hydra.overrides == by_hydra.hydra.overrides


@pytest.mark.parametrize("name", ["nan", "3", "true", "1e-8"])
def test_a_name_that_reads_as_a_number_is_quoted(name: str, command: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "cell"
    folder.mkdir(parents=True)
    (folder / f"{name}.yaml").write_text("class: LSTM\n")
    refused = command("check", "--config-dir", "conf", f"cell={name}")
    told = f"'cell={name}' is read as a number or a truth value: quote the name, as in \"cell='{name}'\""
    assert (refused.status, refused.err) == (2, f"seqzoo: {told}\n")
    assert command("check", "--config-dir", "conf", f"cell='{name}'").status == 0
