"""Kronecker-factored real-time recurrent learning: the influence of each weight matrix as one random Kronecker product.

Source: Mujika, Meier & Steger, Approximating Real-Time Recurrent Learning with Random Kronecker Factors, 2018,
https://arxiv.org/abs/1805.10842
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from seqzoo.contracts.state import detach, flatten
from seqzoo.learning.forward import ForwardRule
from seqzoo.learning.network_step import Moment, NetworkStep, add_gradients
from seqzoo.learning.uoro import TINY, random_signs
from seqzoo.network.model import Model


class KroneckerFactoredRTRL(ForwardRule):
    """A product y = W x + b in a step changes the next state s' by D = ds' / dy, so that the derivative of s' by W is
    the Kronecker product of x and D. What is carried on in its place is that of a vector u and a matrix A. With random
    signs c and c' in each step, and J = ds' / ds:

        u' = c p u + c' q [x, 1],  A' = c J A / p + c' D / q,  p = sqrt(|J A| / |u|),  q = sqrt(|D| / |[x, 1]|)

    The mean over the signs is the influence of W and b. Every product has factors of its own, a learned initial state
    is followed exactly, and an embedding is the product with a vector that is 1 at the token. For S state variables and
    products of S numbers a step takes O(S^3) operations, and O(S^2) memory for each row of a batch; the variance is
    lower than that of `UnbiasedOnlineRecurrentOptimization`.
    """

    unbiased = True

    def misfits(self, model: Model) -> list[str]:
        reasons = super().misfits(model)
        if not reasons and (names := _other_weights(model)):
            reasons.append(
                f"follows the weights of products with a whole matrix, and {', '.join(names[:3])} of {{cell}}, "
                "{backbone} or {encoder} enter otherwise: choose cell=elman, cell=lstm or cell=gru, or learning=uoro"
            )
        return reasons

    def bytes_needed(self, model: Model, rows: int) -> int:
        step = NetworkStep(model)
        outputs = sum(len(weight) for part in step.trained for weight in part.values() if weight.dim() == 2)
        return 2 * 4 * rows * step.size * (step.size + outputs)

    def prepare(self, step: NetworkStep) -> None:
        self.step = step
        state, _ = step.split(step.model.backbone.initial_state(1))
        self.starts: list[str] = []
        if state.requires_grad:
            names = [*step.trained[0]]
            of_start = torch.autograd.grad(state.sum(), step.weights(names), allow_unused=True)
            self.starts = [name for name, gradient in zip(names, of_start, strict=True) if gradient is not None]
        self.factors = self._factors()

    def _factors(self) -> list[Factor]:
        """The products of a step."""
        encoder = self.step.model.encoder
        like = next(self.step.model.parameters())
        state, counters = self.step.split(self.step.model.backbone.initial_state(1))
        inputs = like.new_zeros(1, encoder.output_size)
        if not self.step.reads_vectors:
            inputs = inputs[:, 0].long()
        return self._captured(Moment(inputs, state.detach(), counters))[0]

    def _captured(self, moment: Moment) -> tuple[list[Factor], Tensor, Tensor]:
        """The products of N steps, and the states before and after them, with their graph."""
        before = moment.features.detach().requires_grad_()
        weights = [weight for part in self.step.trained for weight in part.values()]
        with torch.enable_grad(), Products(weights) as products:
            _, after = self.step(moment._replace(features=before))
        return products.factors, before, self.step.split(after)[0]

    def first(self, rows: int) -> list[Tensor]:
        size, like = self.step.size, next(self.step.model.parameters())
        memory = []
        for factor in self.factors:
            memory.append(like.new_zeros(rows, factor.x.shape[1]))
            memory.append(like.new_zeros(rows, size, factor.y.shape[1]))
        if self.starts:
            of_start = self.step.pull_initial(self.starts, torch.eye(size).to(like))
            memory.append(of_start.detach().expand(rows, -1, -1))
        return [part.detach() for part in memory]

    def products_size(self) -> int:
        size = self.step.size
        return size * size + sum(size * factor.y.shape[1] + factor.x.shape[1] for factor in self.factors)

    def products(self, moment: Moment) -> list[Tensor]:
        """J (N, S, S), and [x, 1] (N, I + 1) and D (N, S, O) of each product."""
        factors, before, after = self._captured(moment)
        size = self.step.size
        seeds = torch.eye(size).to(after)[:, None].expand(-1, len(after), -1)
        rows = torch.autograd.grad(
            after, [before, *(factor.y for factor in factors)], seeds, allow_unused=True, is_grads_batched=True
        )
        jacobian, *of_products = [
            like.new_zeros(len(after), size, like.shape[1]) if row is None else row.transpose(0, 1)
            for row, like in zip(rows, [before, *(factor.y for factor in factors)], strict=True)
        ]
        pairs = zip(factors, of_products, strict=True)
        return [jacobian, *(part for factor, of_product in pairs for part in (factor.x, of_product))]

    def following(self, memory: list[Tensor], products: list[Tensor], moment: Moment) -> list[Tensor]:
        jacobian, *parts = products
        following = []
        for number in range(len(self.factors)):
            (u, a), (x, d) = memory[2 * number : 2 * number + 2], parts[2 * number : 2 * number + 2]
            pushed = jacobian @ a
            kept = (_norm(pushed) / (_norm(u) + TINY)).sqrt() + TINY
            new = (_norm(d) / (_norm(x) + TINY)).sqrt() + TINY
            signs = random_signs(u.new_empty(len(u), 2))
            kept, new = signs[:, 0] * kept, signs[:, 1] * new
            following.append(kept[:, None] * u + new[:, None] * x)
            following.append(pushed / kept[:, None, None] + d / new[:, None, None])
        return [*following, *(jacobian @ part for part in memory[2 * len(self.factors) :])]

    def collect(self, memory: list[Tensor], of_states: Tensor) -> list[Tensor]:
        collected = [
            torch.einsum("bs,bso,bi->oi", of_states, a, u)
            for u, a in zip(memory[: 2 * len(self.factors) : 2], memory[1 : 2 * len(self.factors) : 2], strict=True)
        ]
        return [*collected, *(torch.einsum("bs,bsp->p", of_states, part) for part in memory[2 * len(self.factors) :])]

    def add(self, collected: list[Tensor]) -> None:
        for factor, gradient in zip(self.factors, collected, strict=False):
            width = factor.weight.shape[0 if factor.of_tokens else 1]
            weight = gradient[:, :width]
            add_gradients([factor.weight], (weight.T if factor.of_tokens else weight).flatten())
            if factor.bias is not None:
                add_gradients([factor.bias], gradient[:, -1])
        if self.starts:
            add_gradients(self.step.weights(self.starts), collected[-1])


class Factor(NamedTuple):
    """A product y = W x + b of N rows.

    Attributes:
        weight, bias: the parameters.
        x: (N, I + 1), with a one for the bias; (N, I) without a bias.
        y: (N, O), zeros that are added to the product, whose derivatives are its own.
        of_tokens: True: the product is an embedding, and x is 1 at the token.
    """

    weight: Tensor
    bias: Tensor | None
    x: Tensor
    y: Tensor
    of_tokens: bool


class Products(TorchFunctionMode):
    """A context in which the products with some weights are recorded, and have no derivatives by these weights.

    Args:
        weights: the parameters.

    Attributes:
        factors: the products so far.
    """

    def __init__(self, weights: Iterable[Tensor]):
        super().__init__()
        self._weights, self.factors = {id(weight) for weight in weights}, list[Factor]()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        of_tokens = function is F.embedding
        # F.linear has no named arguments in this library, and torch calls F.embedding with two and the others by name
        weight = args[1] if function in (F.linear, F.embedding) else None
        if weight is None or id(weight) not in self._weights or args[0].dim() != (1 if of_tokens else 2):
            return function(*args, **kwargs)
        inputs, others = args[0], args[2:]
        bias = None if of_tokens or not others else others[0]
        if bias is not None and id(bias) not in self._weights:
            return function(*args, **kwargs)
        fixed = (weight.detach(), *(other.detach() if isinstance(other, Tensor) else other for other in others))
        result = function(inputs, *fixed, **kwargs)
        y = torch.zeros_like(result.detach()).requires_grad_()
        if of_tokens:
            x = F.one_hot(inputs, len(weight)).to(y)
            padding = others[0] if others else kwargs.get("padding_idx")
            if padding is not None and padding >= 0:  # its embedding is not trained
                x = x * (torch.arange(len(weight), device=x.device) != padding)
        else:
            x = inputs.detach()
            x = x if bias is None else torch.cat([x, x.new_ones(len(x), 1)], 1)
        self.factors.append(Factor(weight, bias, x, y, of_tokens))
        return result + y


def _other_weights(model: Model) -> list[str]:
    """The trained weights that a step does not use in products alone."""
    encoder, backbone = model.encoder, model.backbone
    of_encoder = [
        name
        for module in encoder.modules()
        if not isinstance(module, nn.Embedding)
        for name, weight in module.named_parameters(recurse=False)
        if weight.requires_grad
    ]
    trained = {name: weight for name, weight in backbone.named_parameters() if weight.requires_grad}
    weight = next(model.parameters())
    with torch.enable_grad(), Products(trained.values()):
        _, after = backbone.step(weight.new_zeros(1, encoder.output_size), detach(backbone.initial_state(1)))
    features = [part for part in flatten(after) if part.requires_grad]
    if not features or not trained:
        return of_encoder
    used = torch.autograd.grad([part.sum() for part in features], [*trained.values()], allow_unused=True)
    return of_encoder + [name for name, gradient in zip(trained, used, strict=True) if gradient is not None]


def _norm(rows: Tensor) -> Tensor:
    """(B, ...) -> (B,)"""
    return rows.flatten(1).norm(dim=1)
