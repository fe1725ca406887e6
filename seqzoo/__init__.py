"""seqzoo: recurrent networks for sequence tasks.

rnn = seqzoo.RNN("lstm", 128, 256, num_layers=2, bidirectional=True)   # a drop-in for nn.LSTM
model, data = seqzoo.build("task=tagging", "cell=gru")
loaded = seqzoo.load("runs/...")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqzoo.building import create_cell
    from seqzoo.catalogue import cell_info
    from seqzoo.config import compose
    from seqzoo.loaded import Loaded, load
    from seqzoo.overrides import build
    from seqzoo.rnn import RNN

__version__ = "0.1.0"
__all__ = ["RNN", "Loaded", "build", "cell_info", "compose", "create_cell", "list_cells", "list_tasks", "load"]

# imported when first asked for: `seqzoo list` answers without torch
_HOMES = {
    "RNN": "seqzoo.rnn",
    "Loaded": "seqzoo.loaded",
    "build": "seqzoo.overrides",
    "cell_info": "seqzoo.catalogue",
    "compose": "seqzoo.config",
    "create_cell": "seqzoo.building",
    "load": "seqzoo.loaded",
}


def list_cells(pattern: str = "*") -> list[str]:
    """Names of the catalogue's cells that match a wildcard: `list_cells("*gru*")`."""
    from seqzoo.config import names

    return names("cell", pattern)


def list_tasks(pattern: str = "*") -> list[str]:
    """Names of the tasks that match a wildcard."""
    from seqzoo.config import names

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
