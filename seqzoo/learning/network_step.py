"""One step of a network as a function of its weights and its state, with the derivatives that forward rules need."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import State
from seqzoo.contracts.parts import Backbone, Encoder
from seqzoo.contracts.state import flatten, unflatten
from seqzoo.kernels.step_results import first_state
from seqzoo.learning.linear_products import without_recurrence
from seqzoo.network.model import Model


class Moment(NamedTuple):
    """Inputs and states of N steps before they are made, which may be of different rows and times.

    Attributes:
        inputs: ids (N,), features (N, I) or, if the encoder is not trained, its vectors.
        features: (N, S), the states without counters.
        counters: the counters of the states, (N,) each.
    """

    inputs: Tensor
    features: Tensor
    counters: list[Tensor]


def joined(moments: Sequence[Moment]) -> Moment:
    """Moments as one, the first of them first."""
    inputs, features, counters = zip(*moments, strict=True)
    return Moment(torch.cat(inputs), torch.cat(features), [torch.cat(parts) for parts in zip(*counters, strict=True)])


class NetworkStep:
    """A step of the encoder and the backbone of a model; the state is one vector (S,) per row, without counters.

    Weights of the encoder influence the state, too. Without any, the step begins with the encoder's vectors.

    Args:
        model: the model; its weights are read when they are needed.

    Attributes:
        trained: names and weights, of the backbone and of the encoder; those without gradient are left out.
        size: S.
    """

    def __init__(self, model: Model):
        self.model = model
        encoder_is_trained = any(weight.requires_grad for weight in model.encoder.parameters())
        self.reads_vectors = not encoder_is_trained
        self._network = _Network(model.encoder if encoder_is_trained else None, model.backbone)
        self._like = first_state(model.backbone, 1)
        self._shapes = [part.shape[1:] for part in flatten(self._like) if part.dim() > 1]
        self.size = sum(map(math.prod, self._shapes))
        self._flags = [weight.requires_grad for weight in model.parameters()]
        trained = {name: weight for name, weight in self._network.named_parameters() if weight.requires_grad}
        self.trained = [
            {name: weight for name, weight in trained.items() if name.startswith(part)}
            for part in ("backbone.", "encoder.")
        ]

    def is_of(self, model: Model) -> bool:
        """Whether this is the step of a model, with the weights that are trained now."""
        return model is self.model and self._flags == [weight.requires_grad for weight in model.parameters()]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    def weights(self, names: Iterable[str]) -> list[nn.Parameter]:
        """Some of the weights in `trained`, by name."""
        together = {name: weight for part in self.trained for name, weight in part.items()}
        return [together[name] for name in names]

    def count(self, names: Iterable[str]) -> int:
        """The number P of numbers in these weights."""
        return sum(weight.numel() for weight in self.weights(names))

    def split(self, state: State) -> tuple[Tensor, list[Tensor]]:
        """The features (B, S) and the counters of a state."""
        parts = flatten(state)
        features = [part.flatten(1) for part in parts if part.dim() > 1]
        counters = [part for part in parts if part.dim() == 1]
        return torch.cat(features, dim=1) if features else self._no_features(parts), counters

    def join(self, features: Tensor, counters: list[Tensor]) -> State:
        """The inverse of `split`."""
        pieces = iter(features.split([math.prod(shape) for shape in self._shapes], dim=1) if self._shapes else ())
        shapes, counts = iter(self._shapes), iter(counters)
        parts = [
            next(pieces).unflatten(1, next(shapes)) if part.dim() > 1 else next(counts) for part in flatten(self._like)
        ]
        return unflatten(parts, self._like)

    def __call__(self, moment: Moment) -> tuple[Tensor, State]:
        """Outputs (N, O) and the next state."""
        return self._network(moment.inputs, self.join(moment.features, moment.counters))

    def pull_outputs(self, moment: Moment, of_outputs: Tensor, recurrent: bool = True) -> Tensor:
        """Backpropagate through the outputs of a step, and add the gradients of the weights to `grad`.

        Args:
            moment: N steps.
            of_outputs: gradients with respect to their outputs, (N, O).
            recurrent: False: without derivatives through products with hidden-to-hidden matrices.

        Returns:
            The gradients with respect to the states before the steps, (N, S).
        """
        before = moment.features.detach().requires_grad_()
        with torch.enable_grad(), nullcontext() if recurrent else without_recurrence(self.model.backbone):
            outputs, _ = self(moment._replace(features=before))
        outputs.backward(of_outputs)
        return torch.zeros_like(before) if before.grad is None else before.grad

    def pull_weights(self, moment: Moment, names: Sequence[str], seeds: Tensor) -> Tensor:
        """Products of seeds with the derivatives of the next states by weights, with the states before held fixed.

        Args:
            moment: N steps.
            names: of some of the weights in `trained`, P numbers.
            seeds: (C, S), for all steps, or (N, C, S).

        Returns:
            (N, C, P)
        """
        values = {name: weight.detach() for name, weight in zip(names, self.weights(names), strict=True)}

        def of_row(inputs: Tensor, features: Tensor, counters: list[Tensor], seeds: Tensor) -> Tensor:
            def following(values: dict[str, Tensor]) -> Tensor:
                return self._row(values, inputs, features, counters)

            pulled = _pulled(following, values, seeds)
            return torch.cat([part.flatten(1) for part in pulled.values()], dim=1)

        return self._by_row(of_row, moment, seeds)

    def pull_initial(self, names: Sequence[str], seeds: Tensor) -> Tensor:
        """Products of seeds (C, S) with the derivatives of the initial state by weights, (C, P).

        They are zero unless the initial state is learned.
        """
        state, _ = self.split(self.model.backbone.initial_state(1))
        weights = self.weights(names)
        if not state.requires_grad:
            return state.new_zeros(len(seeds), self.count(names))
        gradients = torch.autograd.grad(
            state, weights, seeds[:, None].to(state), allow_unused=True, is_grads_batched=True
        )
        pieces = [
            state.new_zeros(len(seeds), weight.numel()) if gradient is None else gradient.flatten(1)
            for weight, gradient in zip(weights, gradients, strict=True)
        ]
        return torch.cat(pieces, dim=1)

    def pull_states(self, moment: Moment, seeds: Tensor, recurrent: bool = True) -> Tensor:
        """Products of seeds with the derivatives of the next states by the states before.

        Args:
            moment: N steps.
            seeds: (C, S), for all steps, or (N, C, S).
            recurrent: False: without derivatives through products with hidden-to-hidden matrices.

        Returns:
            (N, C, S)
        """

        def of_row(inputs: Tensor, features: Tensor, counters: list[Tensor], seeds: Tensor) -> Tensor:
            return _pulled(lambda features: self._row({}, inputs, features, counters), features, seeds)

        with nullcontext() if recurrent else without_recurrence(self.model.backbone):
            return self._by_row(of_row, moment, seeds)

    def push_states(self, moment: Moment, tangents: Tensor) -> Tensor:
        """Products of the derivatives of the next states by the states before with tangents (N, S): (N, S)."""

        def of_row(inputs: Tensor, features: Tensor, counters: list[Tensor], tangent: Tensor) -> Tensor:
            def following(features: Tensor) -> Tensor:
                return self._row({}, inputs, features, counters)

            return forward_derivative(following, (features,), (tangent,))[1]

        return torch.func.vmap(of_row)(*moment, tangents)

    def _row(self, weights: dict[str, Tensor], inputs: Tensor, features: Tensor, counters: list[Tensor]) -> Tensor:
        """The next features (S,) of one row, with other values of some weights."""
        state = self.join(features[None], [counter[None] for counter in counters])
        _, after = torch.func.functional_call(self._network, weights, (inputs[None], state))
        return self.split(after)[0][0]

    def _by_row(self, of_row: Callable[..., Tensor], moment: Moment, seeds: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.func.vmap(of_row, in_dims=(0, 0, 0, 0 if seeds.dim() == 3 else None))(*moment, seeds)

    def _no_features(self, parts: list[Tensor]) -> Tensor:
        weight = next(self.model.parameters())
        return weight.new_zeros(len(parts[0]) if parts else 1, 0)


def _pulled(function: Callable[[Any], Tensor], values: Any, seeds: Tensor) -> Any:
    """Vector-Jacobian products of a function with seeds (C, S), in the form of `values`."""
    pull = torch.func.vjp(function, values)[1]
    return torch.func.vmap(pull)(seeds)[0]


class _Network(nn.Module):
    """An encoder, if it is trained, and a backbone, as one module whose call is a step."""

    def __init__(self, encoder: Encoder | None, backbone: Backbone):
        super().__init__()
        self.encoder, self.backbone = encoder, backbone

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return self.backbone.step(inputs if self.encoder is None else self.encoder(inputs), state)


def forward_derivative(function: Callable[..., Any], values: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The value of a function and its derivative along tangents."""
    with warnings.catch_warnings():
        # torch compiles some derivatives by `torch.jit.script` when it needs them first, and warns about that
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        return torch.func.jvp(function, values, tangents)


def add_gradients(weights: Sequence[Tensor], gradient: Tensor) -> None:
    """Add a gradient (P,) to `grad` of weights, one after the other."""
    pieces = gradient.detach().split([weight.numel() for weight in weights])
    for weight, piece in zip(weights, pieces, strict=True):
        piece = piece.view_as(weight)
        weight.grad = piece.clone() if weight.grad is None else weight.grad + piece
