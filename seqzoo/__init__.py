"""seqzoo: recurrent networks for sequence tasks.

rnn = seqzoo.RNN("lstm", 128, 256, num_layers=2, bidirectional=True)   # a drop-in for nn.LSTM
model, data = seqzoo.build("task=tagging", "cell=gru")
loaded = seqzoo.load("runs/...")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqzoo.analysis.catalogue import cell_info
    from seqzoo.cells.cell import Cell
    from seqzoo.configuration.building import create_cell
    from seqzoo.configuration.composing import compose
    from seqzoo.configuration.overrides import build
    from seqzoo.contracts.batch import Batch, Loss, Prediction, State
    from seqzoo.contracts.parts import Backbone, DataModule, Encoder, Metric, Task
    from seqzoo.contracts.spec import DataSpec
    from seqzoo.rnn import GRU, LSTM, RNN, Elman, from_torch
    from seqzoo.runs.loaded import Loaded, load

__version__ = "0.1.0"
__all__ = [
    "GRU", "LSTM", "RNN", "Backbone", "Batch", "Cell", "DataModule", "DataSpec", "Elman", "Encoder", "Loaded", "Loss",
    "Metric", "Prediction", "State", "Task", "build", "cell_info", "compose", "create_cell", "from_torch", "list_cells",
    "list_tasks", "load",
]  # fmt: skip

# imported when first asked for: `seqzoo list` answers without torch
_HOMES = {
    **dict.fromkeys(("RNN", "LSTM", "GRU", "Elman", "from_torch"), "seqzoo.rnn"),
    "Loaded": "seqzoo.runs.loaded",
    "build": "seqzoo.configuration.overrides",
    "cell_info": "seqzoo.analysis.catalogue",
    "compose": "seqzoo.configuration.composing",
    "create_cell": "seqzoo.configuration.building",
    "load": "seqzoo.runs.loaded",
    "Cell": "seqzoo.cells.cell",
    **dict.fromkeys(("Batch", "Loss", "Prediction", "State"), "seqzoo.contracts.batch"),
    **dict.fromkeys(("Backbone", "DataModule", "Encoder", "Metric", "Task"), "seqzoo.contracts.parts"),
    "DataSpec": "seqzoo.contracts.spec",
}


def list_cells(pattern: str = "*") -> list[str]:
    """Names of the catalogue's cells that match a wildcard: `list_cells("*gru*")`."""
    from seqzoo.configuration.registry import names

    return names("cell", pattern)


def list_tasks(pattern: str = "*") -> list[str]:
    """Names of the tasks that match a wildcard."""
    from seqzoo.configuration.registry import names

    return names("task", pattern)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'seqzoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
