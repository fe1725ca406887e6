"""Fine-tuning: learning rates that fall from the head to the input, and layers that stay as they are for a while.

Source: Howard & Ruder, Universal Language Model Fine-tuning for Text Classification, 2018,
https://aclanthology.org/P18-1031
"""

from __future__ import annotations

import re

from torch import nn

from seqzoo.training.settings import Training

HEAD, ENCODER, FIRST_LAYER = "task", "encoder", 1
LAYER = re.compile(r"(?:others\.\d+\.)?(encoder|backbone|task)\.(?:layers\.(\d+)\.)?")


def depths(model: nn.Module) -> dict[str, int]:
    """The depth of each parameter by name: 0 for the encoder, 1 and more for the layers of the backbone, then the head.

    Parameters of a backbone that are in none of its `layers`, such as initial states, count as of the first one.
    """
    places = {}
    for name, _ in model.named_parameters():
        match = LAYER.match(name)
        part, layer = match.groups() if match else (HEAD, None)
        places[name] = part, FIRST_LAYER + int(layer or 0)
    head = 1 + max((depth for part, depth in places.values() if part not in (HEAD, ENCODER)), default=0)
    return {name: {HEAD: head, ENCODER: 0}.get(part, depth) for name, (part, depth) in places.items()}


def learning_rate_factors(model: nn.Module, layer_decay: float) -> dict[str, float]:
    """The factor on the learning rate of each parameter by name: 1 for the head, `layer_decay` times less per layer."""
    by_name = depths(model)
    head = max(by_name.values(), default=0)
    return {name: layer_decay ** (head - depth) for name, depth in by_name.items()}


def freeze_for_good(model: nn.Module, settings: Training) -> None:
    """Exclude encoder and backbone from training, if `freeze` is "body". Called before the optimizer is built."""
    if settings.freeze == "body":
        by_name = depths(model)
        for name, parameter in model.named_parameters():
            if by_name[name] < max(by_name.values()):
                parameter.requires_grad_(False)


class Unfreezing:
    """Gradual unfreezing, if `freeze` is "gradual": in epoch k, from 0, the head and the k highest layers are trained.

    Args:
        model: the model. What its options exclude from training stays excluded.
        settings: the options.
    """

    def __init__(self, model: nn.Module, settings: Training):
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.depths = depths(model) if settings.freeze == "gradual" else {}

    def begin_epoch(self, epoch: int) -> None:
        """Choose the layers that are trained in an epoch."""
        head = max(self.depths.values(), default=0)
        for name, depth in self.depths.items():
            if name in self.trained:
                self.trained[name].requires_grad_(depth >= head - epoch)
