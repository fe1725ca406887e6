"""Copies of modules with their weights, ties and flags."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized


def common_arguments(module: nn.Module) -> dict[str, Any]:
    """The arguments that torch's modules and their drop-ins share."""
    names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional")
    # without a second layer it has no effect, and torch warns
    dropout = module.dropout if module.num_layers != 1 else 0.0
    return {**{name: getattr(module, name) for name in names}, "dropout": dropout}


def copied(source: nn.Module, target: Any) -> Any:
    """`target`, a new module, with the weights, the ties between them, the `requires_grad` flags and the mode of
    `source`. Raises ValueError if a weight of `source` is not a parameter of its own.
    """
    weights = dict(source.named_parameters(remove_duplicate=False))
    first_names: dict[int, str] = {}
    for name, _ in [*target.named_parameters()]:
        if name not in weights:
            advice = "torch.nn.utils.parametrize.remove_parametrizations"
            if not is_parametrized(source):
                advice = "prune.remove, remove_weight_norm or remove_spectral_norm of torch.nn.utils"
            raise ValueError(
                f"{name} is computed from other weights, and only plain ones are copied: first apply {advice}"
            )
        first = first_names.setdefault(id(weights[name]), name)
        if first != name:
            setattr(target, name, getattr(target, first))
    target.load_state_dict(source.state_dict())
    for name, parameter in target.named_parameters():
        parameter.requires_grad_(weights[name].requires_grad)
    return target.train(source.training)
