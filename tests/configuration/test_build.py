"""Models are built from configurations; all mistakes are reported together, before any data is read."""

from __future__ import annotations

import copy
import functools
import pickle
import sys
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl

import seqzoo
from seqzoo.commands.main import main
from seqzoo.configuration import checking, composing, recipe, stored
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.checking import check
from seqzoo.configuration.experiment import Experiment, Parts, compose, parse
from seqzoo.configuration.overrides import examine
from seqzoo.configuration.registry import names
from seqzoo.configuration.sizing import outline
from seqzoo.contracts.errors import ConfigError
from seqzoo.runs import launch
from seqzoo.training.optimizer import build_optimizer
from seqzoo.training.settings import Training


def mistakes_of(*overrides: str) -> list[str]:
    return examine(*overrides)[1]


composed_once = functools.cache(composing.compose)


@pytest.mark.parametrize("name", names("experiment"))
def test_every_experiment_is_sound(name: str) -> None:
    assert mistakes_of(f"experiment={name}") == []


@pytest.mark.parametrize("debug", names("debug"))
@pytest.mark.parametrize("task", names("task"))
def test_every_task_is_sound_at_every_size(task: str, debug: str) -> None:
    assert mistakes_of(f"task={task}", f"debug={debug}") == []


@pytest.mark.parametrize("name", names("data"))
def test_every_data_set_is_sound_with_its_task(name: str) -> None:
    options = composing.load("data", name)
    if "seed" in options:
        options["seed"] = 0
    options = {option: "a_file" if value == composing.MISSING else value for option, value in options.items()}
    data = build_data(Parts(data=options))
    spec = data.expected_spec()
    # whether series of numbers have one label each, or one per step, is not known before they are read
    reading = "captioning" if spec.rate is None else "transcription"
    kind = reading if spec.given_as_files and spec.kind == "transduction" else spec.kind or "tagging"
    task = "tree_classification" if kind == "trees" else kind
    encoder = "image_cnn" if spec.picture is not None else "features" if data.numbers else "tokens"
    # composing once for each data set would take most of the time
    backbone = ["backbone=grid"] if "grid" in data.structure else []
    config = composed_once(f"task={task}", f"encoder={encoder}", *backbone)
    choices = {**config["choices"], "data": name}
    assert checking.examine({**config, "data": options, "choices": choices})[1] == []


MISTAKES = {
    "training.epochs=0": "training.epochs is 0: it must be at least 1",
    "training.epochs=null training.steps=null": "training.epochs and training.steps are both null: say when to stop",
    "training.threads=0": "training.threads is 0: it must be at least 1",
    "training.threads=many": "training.threads is 'many': it must be an integer or auto",
    "training.device=gpu": "training.device is 'gpu': it must be auto, cpu, cuda or cuda:NUMBER",
    "training.betas=[0.9]": "training.betas is [0.9]: it must list two numbers, each at least 0 and below 1",
    "training.betas=[0.9,1]": "training.betas is [0.9, 1]: it must list two numbers, each at least 0 and below 1",
    "training.clip_norm=0": "training.clip_norm is 0: it must be above 0, or null for no clipping",
    "training.momentum=2": "training.momentum is 2: it must be between 0 and 1",
    "training.learning_rate=nan": "training.learning_rate is nan: it must be a finite number",
    "training.learning_rate=true": "training.learning_rate is true: it must be a finite number",
    "training.learning_rate=1e300": "training.learning_rate is 1e+300: it must be at most 1,000",
    "training.schedule=cosin": "training.schedule is 'cosin': it must be one of constant, linear, cosine, plateau",
    "+training.epochz=3": "there is no option 'training.epochz'. Did you mean 'training.epochs'?",
    "~training.momentum": "training.momentum is not set: give training.momentum=...",
    "seed=null": "seed is null: it must be an integer from 0 to 2**63 - 1",  # data.seed takes it over
    "backbone.hidden_size=true": ("backbone.hidden_size is true: it must be an integer or a list of integers"),
    "data.limit=[true,null]": "data.limit is [true, null]: it must be an integer or null",
    "allow_modules=[torch.nn] cell.class=torch.nn.LSTM": (
        "cell.class is 'torch.nn.LSTM', which does not inherit from seqzoo.Cell"
    ),
    "seed=-1": "seed is -1: it must be an integer from 0 to 2**63 - 1",
    "cell.forget_bias=1e300": "cell.forget_bias is 1e+300: it must be between -1,000,000 and 1,000,000",
    "learning.class=Foo": (
        "learning.class is 'Foo': there is no such learning rule. There are: BackpropagationThroughTime, "
        "CheckpointedBackpropagation, EligibilityPropagation, FeedbackAlignment, ForwardGradient, "
        "KroneckerFactoredRTRL, ... (10 in all)"
    ),
    "+cell.forget_bia=1": "there is no option 'cell.forget_bia'. Did you mean 'cell.forget_bias'?",
    "cell.forget_bias=nan": "cell.forget_bias is nan: it must be a finite number",
    "task.decoder.dropout=inf": "task.decoder.dropout is inf: it must be a finite number",
    "cell.forget_bias=high": "cell.forget_bias is 'high': it must be a finite number",
    "cell.class=Elmann": "cell.class is 'Elmann': there is no such cell. Did you mean 'Elman'?",
    "cell.class=null": "cell.class is null: name a class of seqzoo.cells, or module.Class of your own",
    "backbone.residual=3": "backbone.residual is 3: it must be true or false",
    "task=tagging backbone.dropout=1": "backbone.dropout is 1: it is a probability, 0 <= dropout < 1",
    "data.batch_size=some": "data.batch_size is 'some': it must be an integer",
    "data.batch_size=0": "data.batch_size=0 is too small: it must be at least 1",
    "data.digits=12": "data.digits=12 must be between 1 and 9",
    "+data.limt=3": "there is no option 'data.limt'. Did you mean 'data.limit'?",
    "task.decoder.dropout=2": "task.decoder.dropout is 2: it is a probability, 0 <= dropout < 1",
    "task.decoder.context=frist_state": (
        "task.decoder.context is 'frist_state': it must be one of first_state, mean_state, max_state, own_state, "
        "first_input, every_step or a list of one of first_state, mean_state, max_state, own_state, first_input, "
        "every_step"
    ),
    "task.decoder.backbone.hidden_size=0": "task.decoder.backbone.hidden_size is 0: it must be at least 1",
    "task.decoder.backbone.cell=elmann": "there is no cell named 'elmann'. Did you mean 'elman'?",
    "task.decoder.backbone.cell={class: Elmann}": (
        "task.decoder.backbone.cell.class is 'Elmann': there is no such cell. Did you mean 'Elman'?"
    ),
    "task.decoder.backbone=dep": "there is no backbone named 'dep'. Did you mean 'deep'?",
    "task.decoder.backbone=3": (
        "task.decoder.backbone is 3: it must be a backbone's name, or a mapping with a class and its options"
    ),
    "task.search=3": (
        "task.search is 3: it must be a mapping of its options: beam_size, groups, diversity, length_penalty, "
        "coverage_penalty, temperature, top_k, top_p, max_length, min_length, same_length, couplet, no_repeat, prefix, "
        "words, places, constraints"
    ),
    "task.search.beam_size=many": "task.search.beam_size is 'many': it must be an integer",
    "task.search.words=[12]": ('task.search.words is [12]: it must be a list of texts, numbers in quotes, as "12"'),
    "task.beam_size=5": "there is no option 'task.beam_size': it is 'task.search.beam_size'",
    "+task.decoder.backbone.locke=true": (
        "there is no option 'task.decoder.backbone.locke'. Did you mean 'task.decoder.backbone.locked'?"
    ),
    "task.decoder.backbone.residual=true": (
        "there is no option 'task.decoder.backbone.residual'. Below task.decoder.backbone there are: cell, "
        "dropout, hidden_size, num_layers. If "
        "its class has it, add it: +task.decoder.backbone.residual=true"
    ),
    "+task.decoder.backbone.bidirectional=true": (
        "task: the backbone of the decoder is not causal: a decoder writes from left to right, so give it one direction"
    ),
    "task.metrics=[]": "task.metrics is empty: name at least one, which picks the best checkpoint",
    "task.metrics=accuracy": "task.metrics is 'accuracy': it must be a list of texts or module.Class",
    "task=tagging task.metrics=[bleu]": "task.metrics names bleu, which cannot score what task=tagging predicts",
    "task=language_modeling task.metrics=[accuracy]": (
        "task.metrics names accuracy, which cannot score what task=language_modeling predicts"
    ),
    "task=language_modeling task.search.max_length=0": "task.search.max_length is 0: write at least one token",
    "task=tagging data=addition": (
        "data=addition is made for transduction, and task=tagging reads data for tagging: choose task=captioning, "
        "task=transcription, task=transduction or other data"
    ),
    "task=transduction data=nested_lists": (
        "data=nested_lists is made for trees, and task=transduction reads data for transduction: choose "
        "task=tree_classification or other data"
    ),
    "task=tagging data=tagging_files": "data.train is not set: give data.train=...",
    "encoder=features task.decoder.embedding_std=1": (
        "task.decoder.embedding_size is not set: conf/task/transduction.yaml takes it from encoder.embedding_size, "
        "which encoder=features does not have; give task.decoder.embedding_size=..."
    ),
}


@pytest.mark.parametrize("overrides", MISTAKES)
def test_a_mistake_is_a_sentence(overrides: str) -> None:
    parts = [overrides] if "{" in overrides else overrides.split(" ")
    assert mistakes_of(*parts) == [MISTAKES[overrides]]


def test_all_mistakes_are_reported_together() -> None:
    assert mistakes_of(
        "task=language_modeling", "backbone=deep_bidirectional", "cell=elmann", "training.optimizer=adamm",
        "training.epochs=0", "encoder.embedding_size=0", "task.search.temperature=-1", "task.metrics=[accurcy]",
        "data.window=0", "backbone.hidden_size=wide", "backbone.droput=0.1",
    ) == [
        "there is no cell named 'elmann'. Did you mean 'elman'?",
        "there is no option 'backbone.droput'. Did you mean 'backbone.dropout'?",
        "training.optimizer is 'adamm': it must be one of adamw, adam, sgd, rmsprop, adagrad",
        "training.epochs is 0: it must be at least 1",
        "data.window=0 is too small: it must be at least 1",
        "encoder.embedding_size is 0: it must be at least 1",
        "backbone.hidden_size is 'wide': it must be an integer or a list of integers",
        "task.search.temperature is -1: it is 0 (the most probable token) or more",
        "there is no metric 'accurcy'. Did you mean 'accuracy'?",
        (
            "backbone=deep_bidirectional reads future inputs, which task=language_modeling must predict: choose a "
            "backbone of one direction, such as backbone=unidirectional or backbone=deep"
        ),
    ]  # fmt: skip


def test_incompatible_parts_are_reported() -> None:
    [mistake] = mistakes_of("task=tagging", "encoder=features")
    assert mistake.startswith(
        "no batch goes through encoder=features, backbone=unidirectional, cell=lstm, task=tagging: "
    )
    assert mistake.endswith("; the inputs of data=grammar_tags are ids, which encoder=tokens reads")
    [mistake] = mistakes_of("task=classification", "data=mnist_rows")
    assert mistake.endswith("; the inputs of data=mnist_rows are numbers, which encoder=features reads")


def test_the_training_section_checks_itself() -> None:
    section = asdict(compose().training)
    with pytest.raises(ConfigError, match="accumulate is 0"):
        Training(**{**section, "accumulate": 0})


def test_outline_counts_without_memory() -> None:
    """A model of 2.4e9 parameters, by hand: 4H (I + H + 2) of the LSTM and what is around it."""
    found = outline(compose("task=tagging", "backbone.hidden_size=24000", "encoder.embedding_size=1000"))
    inputs, tags = found.spec.input_size, found.spec.output_size
    assert found.cost.parameters == inputs * 1000 + 4 * 24000 * (1000 + 24000 + 2) + tags * (24000 + 1)
    assert all(parameter.is_meta for parameter in found.model.parameters())
    assert found.cost.training_bytes > 16 * found.cost.parameters


def test_outline_has_the_sizes_of_the_model_that_is_trained() -> None:
    config = compose("debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=8")
    model, _ = seqzoo.build(*config.overrides)
    assert outline(config).cost.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_memory_grows_with_the_batch() -> None:
    small, large = (
        outline(compose("task=tagging", f"data.batch_size={size}")).cost.training_bytes for size in (10, 1000)
    )
    assert 10 < large / small < 100


def test_build_is_repeatable_and_obeys_the_seed() -> None:
    sizes = ["task=tagging", "data.train_size=50", "data.validation_size=5", "data.test_size=5"]
    weights = [
        torch.cat([p.flatten() for p in seqzoo.build(*sizes, f"seed={seed}")[0].parameters()]) for seed in (1, 1, 2)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_decoder_may_be_named_or_have_a_cell_of_its_own() -> None:
    config = compose("task.decoder.backbone=deep", "cell=gru")
    model = build_model(config, build_data(config).expected_spec())
    assert [type(layer[0]).__name__ for layer in model.task.decoder.backbone.layers] == ["GRU", "GRU"]
    config = compose("task.decoder.backbone.cell=elman", "cell=gru")
    model = build_model(config, build_data(config).expected_spec())
    assert [type(layer[0]).__name__ for layer in model.task.decoder.backbone.layers] == ["Elman"]
    own = "task.decoder.backbone={class: Recurrent, cell: gru, hidden_size: 8, num_layers: 2, residual: true}"
    config = compose(own, "cell=lstm")
    decoder = build_model(config, build_data(config).expected_spec()).task.decoder.backbone
    assert decoder.residual
    assert [(type(layer[0]).__name__, layer[0].hidden_size) for layer in decoder.layers] == [("GRU", 8), ("GRU", 8)]


def test_options_are_checked_against_the_hidden_size() -> None:
    assert mistakes_of("cell=projected_lstm", "cell.projection_size=64", "backbone.hidden_size=100") == []
    assert mistakes_of("cell=m_lstm", "cell.heads=3", "backbone=deep", "backbone.hidden_size=[12,6]") == []
    assert mistakes_of("cell=projected_lstm", "cell.projection_size=101", "backbone.hidden_size=100") == [
        "cell.projection_size is 101: it must be 1 to hidden_size, here 100"
    ]


@pytest.mark.parametrize("name", ["coupled_lstm", "echo_state", "lstm"])
def test_an_engine_that_runs_the_cell_may_be_chosen(name: str) -> None:
    assert mistakes_of(f"cell={name}", "cell.engine=fused") == []


def test_an_unsupported_engine_is_reported_before_anything_runs() -> None:
    [mistake] = mistakes_of("cell=m_lstm", "cell.engine=fused")
    assert "engine=fused cannot run MLSTM here: its state is not made of vectors" in mistake
    [mistake] = mistakes_of("cell=mgu", "cell.engine=torch")
    assert "engine=torch cannot run MGU: it has no torch kernel or parallel scan" in mistake


def test_create_cell_takes_options_and_refuses_others() -> None:
    cell = seqzoo.create_cell("lstm", 3, 4, forget_bias=2.5)
    assert (cell.bias_ih[4:8] == 2.5).all()
    with pytest.raises(ConfigError, match=r"no option 'forget_bia'\. Did you mean 'forget_bias'"):
        seqzoo.create_cell("lstm", 3, 4, forget_bia=2.5)
    with pytest.raises(ConfigError, match=r"no cell named 'elmann'\. Did you mean 'elman'"):
        seqzoo.create_cell("elmann", 3, 4)


@pytest.fixture
def my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module outside seqzoo with a function and a class that leave a trace when they are run."""
    (tmp_path / "outside_seqzoo.py").write_text(
        "from seqzoo.cells import Elman\n"
        "def function(input_size, hidden_size):\n    raise AssertionError('it ran')\n"
        "class NoCell:\n    def __init__(self, input_size, hidden_size):\n        raise AssertionError('it ran')\n"
        "class Mine(Elman):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "outside_seqzoo"
    sys.modules.pop("outside_seqzoo", None)


def test_a_class_outside_seqzoo_must_be_allowed(my_module: str) -> None:
    [told] = mistakes_of("cell=elman", "cell.class=outside_seqzoo.Mine")
    assert told == (
        "cell.class is 'outside_seqzoo.Mine', outside seqzoo: if you trust it, add 'allow_modules=[outside_seqzoo]', "
        "or for a finished run --allow-module outside_seqzoo"
    )
    assert my_module not in sys.modules
    assert mistakes_of("cell=elman", "cell.class=outside_seqzoo.Mine", "allow_modules=[outside_seqzoo]") == []


@pytest.mark.parametrize("name", ["function", "NoCell", "Min"])
def test_only_a_class_of_the_contract_is_built(my_module: str, name: str) -> None:
    config = compose("cell=gru", f"cell.class={my_module}.{name}", f"allow_modules=[{my_module}]")
    [mistake] = check(config)
    told = ", which does not inherit from seqzoo.Cell" if name == "NoCell" else ": there is no such cell"
    assert mistake.startswith(f"cell.class is '{my_module}.{name}'{told}")


def test_allowing_is_by_whole_names() -> None:
    assert mistakes_of("allow_modules=os") == ["allow_modules is 'os': it must be a list, such as [my_module]"]
    [mistake] = mistakes_of("cell.class=os.path.join", "allow_modules=[os]")
    assert "add 'allow_modules=[os.path]'" in mistake


def test_a_module_that_is_not_there_is_told() -> None:
    [mistake] = mistakes_of("cell.class=not_there.Mine", "allow_modules=[not_there]")
    assert mistake == "cell.class is 'not_there.Mine', but not_there cannot be imported: No module named 'not_there'"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("training.momentum=0.9", "training.momentum=0.9 has no effect with training.optimizer=adamw: leave it out"),
        ("training.plateau_factor=0.1", "training.plateau_factor=0.1 has no effect with training.schedule=cosine: "),
        ("training.average_decay=0.9", "training.average_decay=0.9 has no effect with training.average=none: "),
        ("budget.tolerance=0.1", "budget.tolerance=0.1 has no effect with budget.parameters=null: "),
        (
            "backbone.dropout=0.3",
            "backbone.dropout=0.3 has no effect with backbone.num_layers=1: leave it out, or give ",
        ),
        ("backbone=deep backbone.dropout=0 backbone.locked=true", "backbone.locked=true has no effect with backbone."),
        ("task.search.top_k=5", "task.search.top_k=5 has no effect with task.search.temperature=0.0: "),
        ("task.decoder.attention_heads=2", "task.decoder.attention_heads=2 has no effect with task.decoder.attention="),
        ("task.scheduled_sampling.limit=0.2", "task.scheduled_sampling.limit=0.2 has no effect with "),
        ("cell=echo_state cell.feedback_scale=2", "cell.feedback_scale=2 has no effect with cell.feedback_size=0: "),
        ("encoder.freeze=true", "encoder.freeze=true makes no sense with data.vectors=null: set encoder.freeze=false"),
        (
            "experiment=wnut17 data.vectors=null",
            "encoder.freeze=true makes no sense with data.vectors=null: set encoder.freeze=false, or give data.vectors",
        ),
    ],
)
def test_an_option_that_makes_no_sense_without_another_is_a_mistake(overrides: str, told: str) -> None:
    _, [mistake] = examine(*overrides.split())
    assert mistake.startswith(told)


@pytest.mark.parametrize(
    "overrides",
    [
        "experiment=ptb_small backbone.dropout=0 encoder.dropout=0",  # what a recipe locks may be switched off
        "experiment=wnut17 debug=tiny",
        "backbone=residual backbone.num_layers=1",
        "training.momentum=0.9 training.optimizer=sgd",
        "training.momentum=0",
        "budget.tolerance=0.01",
    ],
)
def test_options_of_recipes_may_be_idle(overrides: str) -> None:
    assert examine(*overrides.split())[1] == []


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("encoder.dropout=1.0", "encoder.dropout is 1.0: it is a probability, 0 <= dropout < 1"),
        ("task.decoder.dropout=1", "task.decoder.dropout is 1: it is a probability, 0 <= dropout < 1"),
        (
            "data.vocabulary_size=2",
            "data.vocabulary_size is 2: it must be at least 5, since 4 ids are special tokens",
        ),
        ("task=tagging data.vocabulary_size=2", "data.vocabulary_size is 2: it must be at least 3"),
        ("task.decoder.embedding_size=0", "task.decoder.embedding_size is 0: it must be at least 1"),
        ("task.decoder.attention=additive task.decoder.attention_size=0", "task.decoder.attention_size is 0: it must"),
        ("task=verse data=tang_poetry data.source.files=1", "data.source.files is 1: it must be a mapping"),
        ("task=verse data=tang_poetry data.source.name=[1]", "data.source.name is [1]: it must be text"),
        ("encoder.initial_std=-1", "encoder.initial_std is -1: it must be between 0 and 1,000"),
        ("task.decoder.embedding_std=1e300", "task.decoder.embedding_std is 1e+300: it must be between 0 and 1,000"),
        ("task.search.beam_size=1000000000", "task.search.beam_size is 1000000000: it must be at most 10,000"),
        ("task.search.no_repeat=-1", "task.search.no_repeat is -1: it is 0 or more"),
        ("data.train_size=0", "data.train_size=0 must be between 1 and 100,000,000"),
        ("data.train_size=1000000000", "data.train_size=1000000000 must be between 1 and 100,000,000"),
        ("training.threads=100000", "training.threads is 100000: this machine has "),
        ("training.epochs=9223372036854775808", "training.epochs is 9223372036854775808: it must be an integer or"),
        ("backbone.num_layers=1000000", "backbone.num_layers is 1,000,000: it must be at most 1,000"),
        ("backbone.hidden_size=1000000", "the model needs about "),
        ("backbone.hidden_size=1048577", "hidden_size is 1.049e+06: a cell has at most 1,048,576"),
        ("backbone.hidden_size=4611686018427387904", "backbone has a size that no tensor can have"),
        ("encoder=image_cnn encoder.channels=5", "encoder.channels is 5: it must be a list of integers"),
        ("budget=null", "budget is null: it must be a mapping of its options"),
        ("~seed", "seed is missing: give seed=..."),
    ],
)
def test_settings_that_cannot_work_are_reported(overrides: str, told: str) -> None:
    _, mistakes = examine(*overrides.split())
    assert any(mistake.startswith(told) for mistake in mistakes), mistakes


def test_no_memory_of_the_first_moment_is_a_float() -> None:
    config = compose("training.betas=[0,0.999]")
    assert examine("training.betas=[0,0.999]")[1] == []
    build_optimizer(torch.nn.Linear(2, 2), config.training)


def test_a_configuration_cannot_be_changed() -> None:
    experiment = compose("task=tagging", "encoder.channels=[5]", "encoder=image_cnn", "allow_modules=[a]")
    options: list[Any] = [experiment.backbone, experiment.choices, experiment.task, experiment.encoder]
    for mapping in options:
        with pytest.raises(TypeError):
            mapping["hidden_size"] = 3
    for holder in (experiment, experiment.training, experiment.budget):
        with pytest.raises(FrozenInstanceError):
            holder.seconds = 3
    assert (experiment.encoder["channels"], experiment.allow_modules, experiment.training.betas) == (
        (5,), ("a",), (0.9, 0.999),
    )  # fmt: skip
    given = {"channels": [5], "nested": {"value": 1}}
    parts = Parts(encoder=given)
    given["channels"].append(6)
    assert parts.encoder == {"channels": (5,), "nested": {"value": 1}}
    for again in (copy.deepcopy(experiment), pickle.loads(pickle.dumps(experiment)), parse(experiment.to_plain())):
        assert again == experiment


def test_other_values_make_another_configuration() -> None:
    experiment = compose("task=transduction")
    wider = experiment.with_values({"backbone.hidden_size": 7, "task.search.prefix": "a"})
    assert (wider.backbone["hidden_size"], wider.task["search"]["prefix"]) == (7, "a")
    assert (experiment.backbone["hidden_size"], experiment.task["search"]["prefix"]) != (7, "a")
    assert wider.to_plain()["task"]["search"].keys() == experiment.to_plain()["task"]["search"].keys()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """The configurations that are parsed in a test."""
    experiments: list[Experiment] = []

    def counted(config: dict) -> Experiment:
        experiments.append(parse(config))
        return experiments[-1]

    for name, module in list(sys.modules.items()):
        if name.startswith("seqzoo.") and getattr(module, "parse", None) is parse:
            monkeypatch.setattr(module, "parse", counted)
    assert checking.parse is recipe.parse is stored.parse is counted
    return experiments


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The overrides of each composition in a test, by seqzoo or by Hydra, cached or not."""
    compositions: list[tuple[str, ...]] = []
    examine, load = composing.examine, ConfigLoaderImpl.load_configuration

    def counted(*overrides: str, **named: Any) -> Any:
        compositions.append(overrides)
        return examine(*overrides, **named)

    def loaded(self: ConfigLoaderImpl, config_name: str, overrides: list[str], *others: Any, **named: Any) -> Any:
        compositions.append(tuple(overrides))
        return load(self, config_name, overrides, *others, **named)

    composing._without_values.cache_clear()
    monkeypatch.setattr(composing, "examine", counted)
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", loaded)
    return compositions


TINY = ("debug=tiny", "data.train_size=16", "data.validation_size=4", "data.test_size=4", "training.steps=2")


def test_a_run_parses_its_configuration_once(
    parsed: list[Experiment], composed: list[tuple[str, ...]], tmp_path: Path
) -> None:
    """From the command to the last update, and again when it is resumed."""
    main(["train", *TINY, f"hydra.run.dir={tmp_path / 'run'}"])
    assert len(parsed) == 1
    assert len(composed) == 2, "once by seqzoo, whose cache asks Hydra once"
    main(["train", f"resume={tmp_path / 'run'}", "training.steps=3"])
    assert len(parsed) == 2
    assert len(composed) == 2


def test_a_budget_parses_it_once_however_many_widths_are_tried(
    parsed: list[Experiment], composed: list[tuple[str, ...]], tmp_path: Path
) -> None:
    main(["train", *TINY, "task=transduction", "budget.parameters=40k", f"hydra.run.dir={tmp_path / 'run'}"])
    assert len(parsed) == 1
    assert len(composed) == 2


def test_a_recipe_composes_and_parses_once_more(
    parsed: list[Experiment], composed: list[tuple[str, ...]], tmp_path: Path
) -> None:
    options = (*TINY, "task=classification", "recipe=auto", "ensemble=1")
    main(["train", *options, "backbone=bidirectional", f"hydra.run.dir={tmp_path / 'run'}"])
    assert len(parsed) == 2
    assert len(composed) == 3, "twice by seqzoo, whose cache asks Hydra once, as no other names are chosen"
    composed.clear()
    composing._without_values.cache_clear()
    main(["train", *options, f"hydra.run.dir={tmp_path / 'other'}"])
    assert len(composed) == 4, "twice by seqzoo and by Hydra, the second time with backbone=bidirectional"


def test_a_sweep_parses_each_job_once(parsed: list[Experiment], tmp_path: Path) -> None:
    sweep = launch.launch(["-m"], [*TINY, "seed=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}"])
    assert len(sweep.with_status("done")) == 2
    assert [experiment.seed for experiment in parsed] == [0, 1]
