"""Recurrent networks for sequence tasks: the cells, the models built of them, and their training.

Cells and layers
    RNN                 layers of any cell, with the signature of nn.LSTM
    LSTM, GRU, Elman    in place of nn.LSTM, nn.GRU and nn.RNN, with their weights
    from_torch          converts nn.LSTM, nn.GRU or nn.RNN, with a copy of the weights
    create_cell         one cell by its name: a step, or a scan over a sequence
    list_cells          the names of the cells
    cell_info           a cell's equations, paper, options and sizes

Experiments
    train               trains a model, as the command `seqzoo train`
    evaluate            the scores of a run on one split
    baseline            the scores of simple baselines on the same data
    export              writes the model of a run as a file of ONNX or torch.export
    load                the model of a run, for predictions: Loaded
    Stream              an input that is answered while it grows, from `Loaded.stream`
    list_pretrained     the names of the pretrained networks, which `load("pretrained:NAME")` loads
    build               a model and its data from overrides such as "task=tagging"
    compose             the configuration that results from overrides
    list_tasks          the names of the tasks

Base classes and types
    Cell, State         one step of a recurrent network, and its recurrent state
    Backbone            a network of cells over time and depth
    Encoder             maps token ids, features or pictures to the input of a backbone
    Task                head, loss, metrics and decoding of a kind of task
    DataModule          the batches of a data set; DataSpec describes them
    Batch               padded sequences with their lengths and targets
    Features            the outputs of a backbone, which a task reads
    Steps               lengths, resets and other structure of the steps of a batch
    LearningRule        computes the gradients of an update
    Metric              a running sum that becomes one number
    Loss, Prediction    the loss of a batch, and the prediction for a row

Errors
    SeqzooError         the base class of the others, whose text is one sentence
    ConfigError         options that cannot work
    DataError           data that cannot be read
    CheckpointError     a run directory or a checkpoint that cannot be loaded
    TrainingError       a training that cannot continue

See `help(seqzoo.RNN)` etc.; docs/LIBRARY.md has examples.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seqzoo.configuration import registry as _registry
from seqzoo.contracts.arguments import check_argument as _check_argument
from seqzoo.contracts.version import __version__ as __version__

if TYPE_CHECKING:
    from seqzoo.analysis.catalogue import cell_info
    from seqzoo.cells.cell import Cell
    from seqzoo.configuration.building import create_cell
    from seqzoo.configuration.experiment import compose
    from seqzoo.configuration.overrides import build
    from seqzoo.configuration.pretrained import list_pretrained
    from seqzoo.contracts.batch import Batch, Features, Loss, Prediction, State
    from seqzoo.contracts.data_module import DataModule
    from seqzoo.contracts.errors import CheckpointError, ConfigError, DataError, SeqzooError, TrainingError
    from seqzoo.contracts.metric import Metric
    from seqzoo.contracts.parts import Backbone, Encoder, Task
    from seqzoo.contracts.spec import DataSpec
    from seqzoo.contracts.steps import Steps
    from seqzoo.learning.rule import LearningRule
    from seqzoo.rnn.any_cell import RNN
    from seqzoo.rnn.drop_ins import GRU, LSTM, Elman, from_torch
    from seqzoo.runs.answering import Stream
    from seqzoo.runs.baseline_scores import baseline
    from seqzoo.runs.calls import evaluate, train
    from seqzoo.runs.exporting import export
    from seqzoo.runs.loaded import Loaded
    from seqzoo.runs.loading import load

__all__ = [
    "GRU", "LSTM", "RNN", "Backbone", "Batch", "Cell", "CheckpointError", "ConfigError", "DataError", "DataModule",
    "DataSpec", "Elman", "Encoder", "Features", "LearningRule", "Loaded", "Loss", "Metric", "Prediction", "SeqzooError",
    "State", "Steps", "Stream", "Task", "TrainingError", "baseline", "build", "cell_info", "compose", "create_cell",
    "evaluate", "export", "from_torch", "list_cells", "list_pretrained", "list_tasks", "load", "train",
]  # fmt: skip

# imported on first use, so that `seqzoo list` does not import torch
_HOMES = {
    "RNN": "seqzoo.rnn.any_cell",
    **dict.fromkeys(("LSTM", "GRU", "Elman", "from_torch"), "seqzoo.rnn.drop_ins"),
    "export": "seqzoo.runs.exporting",
    "Stream": "seqzoo.runs.answering",
    "Loaded": "seqzoo.runs.loaded",
    "load": "seqzoo.runs.loading",
    "list_pretrained": "seqzoo.configuration.pretrained",
    **dict.fromkeys(("evaluate", "train"), "seqzoo.runs.calls"),
    "baseline": "seqzoo.runs.baseline_scores",
    "build": "seqzoo.configuration.overrides",
    "cell_info": "seqzoo.analysis.catalogue",
    "compose": "seqzoo.configuration.experiment",
    "create_cell": "seqzoo.configuration.building",
    "Cell": "seqzoo.cells.cell",
    **dict.fromkeys(("Batch", "Features", "Loss", "Prediction", "State"), "seqzoo.contracts.batch"),
    "DataModule": "seqzoo.contracts.data_module",
    **dict.fromkeys(
        ("CheckpointError", "ConfigError", "DataError", "SeqzooError", "TrainingError"), "seqzoo.contracts.errors"
    ),
    **dict.fromkeys(("Backbone", "Encoder", "Task"), "seqzoo.contracts.parts"),
    "Metric": "seqzoo.contracts.metric",
    "DataSpec": "seqzoo.contracts.spec",
    "Steps": "seqzoo.contracts.steps",
    "LearningRule": "seqzoo.learning.rule",
}


def list_cells(pattern: str = "*") -> list[str]:
    """The names of the cells.

    Args:
        pattern: a shell-style wildcard that the names match.

    Returns:
        The names, sorted.

    Examples:
        >>> seqzoo.list_cells("*gru")
        ['gru', 'layer_norm_gru', 'li_gru', 'min_gru', 'simplified_gru']
    """
    _check_argument("pattern", pattern, str, "a text, such as '*gru'")
    return _registry.names("cell", pattern)


def list_tasks(pattern: str = "*") -> list[str]:
    """The names of the tasks.

    Args:
        pattern: a shell-style wildcard that the names match.

    Returns:
        The names, sorted.

    Examples:
        >>> seqzoo.list_tasks("*ing")
        ['captioning', 'forecasting', 'language_modeling', 'tagging']
    """
    _check_argument("pattern", pattern, str, "a text, such as '*ing'")
    return _registry.names("task", pattern)


if not TYPE_CHECKING:  # type checkers see the imports above, and report names that are not there

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            value = getattr(importlib.import_module(_HOMES[name]), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module 'seqzoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
