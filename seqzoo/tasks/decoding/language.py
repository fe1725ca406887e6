"""What a prefix search adds to the scores of texts: a language model (shallow fusion), a list of words.

Gulcehre et al., On Using Monolingual Corpora in Neural Machine Translation, 2015, https://arxiv.org/abs/1503.03535
(shallow fusion)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.batch import UNKNOWN, State
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.spec import Codec
from seqzoo.contracts.state import map_state, reorder
from seqzoo.tasks.decoding.ctc import NEVER, NextScores, Prefix
from seqzoo.tasks.decoding.hypothesis import Start, Step


class Language(NamedTuple):
    """A language model.

    Attributes:
        start: before the first token of a text.
        step: its step.
        codec: of its tokens.
        end: the id of the token that ends a text; None: it has none.
    """

    start: Start
    step: Step
    codec: Codec
    end: int | None


def language_scores(language: Language, codec: Codec, weight: float, bonus: float) -> NextScores:
    """The scores of a language model as those of a prefix search.

    A token that the language model does not know has the lowest log-probability of those that it knows.

    Args:
        language: the language model.
        codec: of the tokens of the search.
        weight: factor of its log-probabilities.
        bonus: in nats for each token, so that longer texts are not at a disadvantage.

    Raises:
        ConfigError: the language model knows less than half of the tokens.
    """
    # special tokens, which are never written, become empty
    tokens = ["" if i == UNKNOWN else (codec.tokens([i]) or [""])[0] for i in range(codec.size)]
    encoded = [language.codec.encode([token]) for token in tokens]
    known = [
        len(ids) == 1 and language.codec.tokens(ids) == [token] for ids, token in zip(encoded, tokens, strict=True)
    ]
    if 2 * sum(known) < (number := sum(map(bool, tokens))):
        mistake = (
            f"the language model reads {language.codec.unit} and knows {sum(known)} of the {number} "
            f"{codec.unit} that the run writes: train one with the same tokenizer"
        )
        raise ConfigError([mistake])
    ids = torch.tensor([row[0] if is_known else 0 for row, is_known in zip(encoded, known, strict=True)])
    unknown = ~torch.tensor(known)
    start, step = language.start, language.step
    device = start.log_probabilities.device
    # of each prefix: the log-probabilities of the next token (1, V), and the state
    after: dict[Prefix, tuple[Tensor, State]] = {(): (start.log_probabilities, start.state)}

    def scores(prefixes: Sequence[Prefix]) -> Tensor:
        new = [prefix for prefix in prefixes if prefix not in after]
        while new:
            ready = [prefix for prefix in new if prefix[:-1] in after]
            missing = [prefix[:-1] for prefix in new if prefix[:-1] not in after]
            if ready:
                states = [after[prefix[:-1]][1] for prefix in ready]
                state = map_state(lambda *parts: torch.cat(parts), *states)
                read = ids[torch.tensor([prefix[-1] for prefix in ready])].to(device)
                log_probabilities, following = step(read, state, start.memory)
                for row, prefix in enumerate(ready):
                    index = torch.tensor([row], device=device)
                    after[prefix] = (log_probabilities[index], reorder(following, index))
            new = [*missing, *(prefix for prefix in new if prefix not in after)]
        rows = torch.cat([after[prefix][0] for prefix in prefixes]).cpu()
        lowest = rows.masked_fill(rows == NEVER, float("inf")).amin(1, keepdim=True)
        of_tokens = torch.maximum(rows[:, ids].where(~unknown, lowest), lowest)
        ends = torch.zeros(len(prefixes), 1) if language.end is None else rows[:, language.end : language.end + 1]
        return torch.cat([weight * of_tokens + bonus, weight * torch.maximum(ends, lowest)], 1)

    return scores


def word_scores(words: Iterable[str], codec: Codec) -> NextScores:
    """Scores that forbid all texts but those of some words, separated by spaces.

    Args:
        words: the allowed words.
        codec: of the tokens of the search.
    """
    allowed = set(words)
    beginnings = {word[:length] for word in allowed for length in range(len(word) + 1)}
    tokens = range(codec.size)
    cached: dict[Prefix, Tensor] = {}

    def fits(text: str, complete: bool) -> bool:
        *whole, last = text.split(" ")
        return all(word in allowed for word in whole) and last in (allowed if complete else beginnings)

    def of(prefix: Prefix) -> Tensor:
        if prefix not in cached:
            row = [fits(codec.decode([*prefix, token]), False) for token in tokens]
            row.append(not prefix or fits(codec.decode(list(prefix)), True))
            cached[prefix] = torch.where(torch.tensor(row), 0.0, NEVER)
        return cached[prefix]

    return lambda prefixes: torch.stack([of(prefix) for prefix in prefixes])


def together(parts: Sequence[NextScores]) -> NextScores | None:
    """The sum of several scores; None: there are none."""
    if not parts:
        return None
    return lambda prefixes: torch.stack([part(prefixes) for part in parts]).sum(0)
