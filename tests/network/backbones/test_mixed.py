"""A stack of different cells, built from names."""

from __future__ import annotations

import pytest

from seqzoo.configuration.building import build_data, build_model, cell_factory
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.overrides import examine
from seqzoo.network.backbones.mixed import Mixed
from seqzoo.network.model import Model


def build(*overrides: str) -> Model:
    config = compose("task=tagging", "backbone=mixed", *overrides)
    return build_model(config, build_data(config).expected_spec())


def cells_of(model: Model) -> list[str]:
    return [type(cell).__name__ for layer in model.backbone.layers for cell in layer]


def test_null_is_the_cell_of_the_run() -> None:
    assert cells_of(build("cell=elman")) == ["Elman", "GRU"]
    assert cells_of(build("cell=elman", "backbone.bidirectional=true")) == ["Elman", "Elman", "GRU", "GRU"]


def test_layers_have_the_cells_that_are_listed() -> None:
    model = build(
        "backbone.cells=[peephole_lstm,null,mgu]", "cell=lstm", "backbone.hidden_size=[4,5,6]", "backbone.num_layers=3"
    )
    assert cells_of(model) == ["PeepholeLSTM", "LSTM", "MGU"]
    assert [layer[0].hidden_size for layer in model.backbone.layers] == [4, 5, 6]


def test_a_cell_may_have_options_of_its_own() -> None:
    model = build("backbone.cells=[null,{class: Elman, activation: relu}]", "cell=gru")
    assert cells_of(model) == ["GRU", "Elman"]
    assert model.backbone.layers[1][0].activation == "relu"


def test_a_decoder_may_be_mixed() -> None:
    config = compose("task=transduction", "task.decoder.backbone=mixed", "cell=lstm")
    decoder = build_model(config, build_data(config).expected_spec()).task.decoder.backbone
    assert [type(layer[0]).__name__ for layer in decoder.layers] == ["LSTM", "GRU"]


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ("[lstm,gruu]", "there is no cell named 'gruu'. Did you mean 'gru'"),
        (
            "lstm",
            "backbone.cells is 'lstm': it must be a list of cells' names, such as [lstm, gru]; null is the model's own",
        ),
        ("[gru]", "backbone.cells lists 1 for backbone.num_layers=2: give one per layer"),
        ("[]", "backbone.cells lists 0 for backbone.num_layers=2: give one per layer"),
        ("[lstm,3]", "backbone.cells[1] is 3: it must be a mapping with a class and its options"),
        (
            "[{class: Elman, activatoin: relu}]",
            "there is no option 'backbone.cells[0].activatoin'. Did you mean 'backbone.cells[0].activation'?",
        ),
        ("[{class: Elman, activation: relo}]", "backbone.cells[0].activation is 'relo': it must be one of"),
    ],
)
def test_a_mistake_is_a_sentence(cells: str, sentence: str) -> None:
    [mistake] = examine("task=tagging", "backbone=mixed", f"backbone.cells={cells}")[1]
    assert mistake.startswith(sentence)


def test_it_has_at_least_one_layer() -> None:
    with pytest.raises(ValueError, match="num_layers is 0"):
        Mixed(cell_factory("gru"), 3, [], num_layers=0)


@pytest.mark.parametrize("task", ["classification", "tagging", "language_modeling", "transduction", "regression"])
def test_every_task_takes_it(task: str) -> None:
    assert examine(f"task={task}", "backbone=mixed")[1] == []
