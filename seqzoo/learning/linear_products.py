"""Products with weight matrices whose derivative by the other factor is replaced, in any code that calls `F.linear`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from seqzoo.cells.cell import Cell


class LinearProducts(TorchFunctionMode):
    """A context in which W x has another derivative by x, for some matrices W; the derivative by W stays.

    Args:
        matrices: the parameters W, or views of them.
        feedback: the matrices that take their place in the derivative, by `storage`; None: it is zero.

    Attributes:
        replaced: the number of products that were replaced.
    """

    def __init__(self, matrices: Iterable[Tensor], feedback: Mapping[int, Tensor] | None = None):
        super().__init__()
        self._storages, self._feedback, self.replaced = {storage(matrix) for matrix in matrices}, feedback, 0

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        # in the code of this library the arguments of `F.linear` have no names
        if function is not F.linear or kwargs or storage(args[1]) not in self._storages:
            return function(*args, **(kwargs or {}))
        x, weight, *bias = args
        self.replaced += 1
        product = F.linear(x.detach(), weight, *bias)
        if self._feedback is None:
            return product
        # the weights may be a part of the parameter, such as the rows of some gates
        feedback = self._feedback[storage(weight)].contiguous()
        feedback = feedback.as_strided(weight.shape, weight.stride(), weight.storage_offset())
        return product + F.linear(x - x.detach(), feedback)  # zero, with a derivative


def storage(matrix: Tensor) -> int:
    """A number that a parameter shares with its views only; -1 under a transform."""
    return -1 if is_functorch_wrapped_tensor(matrix) else matrix.untyped_storage().data_ptr()


def without_recurrence(network: nn.Module) -> LinearProducts:
    """A context without derivatives through products with the hidden-to-hidden matrices of all cells of a network."""
    cells = [module for module in network.modules() if isinstance(module, Cell)]
    return LinearProducts(matrix for cell in cells for matrix in getattr(cell, "recurrent_matrices", ()))


class RandomFeedback:
    """Fixed random matrices in place of the weights through which errors go back, drawn at their first use.

    Source: Lillicrap, Cownden, Tweed & Akerman, Random Synaptic Feedback Weights Support Error Backpropagation for Deep
    Learning, 2016, https://doi.org/10.1038/ncomms13276

    Attributes:
        matrices: those of the weights, by name, with their standard deviation.
    """

    def __init__(self) -> None:
        self.matrices: dict[str, Tensor] = {}

    def through(self, module: nn.Module) -> LinearProducts:
        """A context in which errors go back through a module by these matrices."""
        weights = {name: weight for name, weight in module.named_parameters() if weight.dim() == 2}
        for name, weight in weights.items():
            if name not in self.matrices:
                self.matrices[name] = torch.randn_like(weight.detach()) * weight.detach().std()
        feedback = {storage(weight): self.matrices[name].to(weight) for name, weight in weights.items()}
        return LinearProducts(weights.values(), feedback)

    def content(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"matrices": self.matrices}

    def restore(self, content: dict[str, Any]) -> None:
        """From `content`. Raises ValueError or LookupError if it is not."""
        matrices = content["matrices"]
        if not isinstance(matrices, dict) or not all(isinstance(part, Tensor) for part in matrices.values()):
            raise ValueError("the feedback of the learning rule is not a mapping of tensors")
        self.matrices = dict(matrices)
