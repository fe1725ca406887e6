"""Sampling with temperature, top-k and top-p."""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.tasks.decoding.generate import Choose, most_probable


def sampler(temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> Choose:
    """Create a function that samples tokens, for `generate`.

    Args:
        temperature: divisor of the log-probabilities; 0 takes the most probable token.
        top_k: sample from the k most probable tokens (Fan et al., Hierarchical Neural Story Generation, 2018,
            https://aclanthology.org/P18-1082); None: from all.
        top_p: nucleus sampling: sample from the smallest set of most probable tokens with at least this probability
            (Holtzman et al., The Curious Case of Neural Text Degeneration, 2020, https://arxiv.org/abs/1904.09751).

    Raises:
        ValueError: an option is out of its range.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}: it is 0 (the most probable token) or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}: draw from at least one token, or null for all")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}: it is a probability above 0, and 1 draws from all tokens")
    if temperature == 0:
        return most_probable

    def draw(log_probabilities: Tensor) -> Tensor:
        # relative to the most probable token, so that its probability cannot underflow at any temperature
        below = log_probabilities - log_probabilities.amax(-1, keepdim=True)
        probabilities = (below / max(temperature, 1e-30)).softmax(-1)
        if top_k is None and top_p == 1:
            return torch.multinomial(probabilities, 1)[:, 0]
        ranked, tokens = probabilities.sort(dim=-1, descending=True)
        if top_k is not None:
            ranked[:, top_k:] = 0
        before = ranked.cumsum(-1) - ranked
        ranked = ranked.masked_fill(before >= top_p * ranked.sum(-1, keepdim=True), 0)
        return tokens.gather(1, torch.multinomial(ranked, 1))[:, 0]

    return draw
