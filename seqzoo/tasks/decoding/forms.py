"""The constraints on answers that follow from the options of a search and the sources of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from seqzoo.contracts.batch import BEGIN, END, PAD, UNKNOWN, Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.own_parts import construct
from seqzoo.contracts.spec import DataSpec
from seqzoo.tasks.decoding import Checked, Constraint, Length, NoRepeat, Places, Search, Template, Together, Words

# an unknown token is not an answer, even where the reference has one
NEVER_WRITTEN = [PAD, UNKNOWN, BEGIN]


def check_form(search: Search, rewrites: bool) -> None:
    """Check that options of a search suit the task; rewrites: it rewrites a source text.

    Raises:
        DataError: an option needs a source text.
    """
    for name in ("same_length", "couplet"):
        if getattr(search, name) and not rewrites:
            raise DataError(f"search.{name} is for tasks that rewrite a source text, which this one does not")


def form_of(batch: Batch, spec: DataSpec, search: Search, rewrites: bool) -> tuple[Tensor, Constraint]:
    """The limits and constraints of the answers to a batch.

    Args:
        batch: of sources.
        spec: the specification of the model.
        search: the options.
        rewrites: the task rewrites source texts, whose lengths then limit the answers.

    Returns:
        The maximum number of tokens of each answer, (B,), and the constraint.

    Raises:
        DataError: a text in the options has unknown tokens, or there is too little room for it.
    """
    check_form(search, rewrites)
    if search.couplet:
        return batch.lengths, _couplets(batch, spec)
    rows, lengths = batch.size, batch.lengths
    prefix = dict(enumerate(_ids_of(spec, "search.prefix", search.prefix))) if search.prefix else {}
    places = {
        place - 1 + number: token
        for place, text in (search.places or {}).items()
        for number, token in enumerate(_ids_of(spec, "search.places", text))
    }
    words = [_ids_of(spec, "search.words", word) for word in search.words]
    if search.same_length:
        limits = lengths
    elif not rewrites:
        limits = torch.full_like(lengths, search.max_length)
    else:
        needed = max([search.min_length, sum(map(len, words)), *(place + 1 for place in (*prefix, *places))])
        limits = (2 * lengths + 10).clamp(min=needed + 1).clamp(max=search.max_length)
    parts: list[Constraint] = []
    if search.same_length:
        parts.append(Length(lengths, lengths))
    if search.min_length:
        parts.append(Length(torch.full_like(limits, search.min_length)))
    if search.no_repeat:
        parts.append(NoRepeat(search.no_repeat))
    if prefix:
        parts.append(Places([prefix] * rows, limits, f"search.prefix={search.prefix!r}"))
    if places:
        parts.append(Places([places] * rows, limits, f"search.places={search.places}"))
    if words:
        parts.append(Words([words] * rows, limits, f"search.words={search.words}"))
    factories = cast("list[Callable[[Batch, DataSpec], Constraint]]", search.constraints)
    parts += [Checked(construct(create, batch=batch, spec=spec)) for create in factories]
    return limits + search.same_length, Together(tuple(parts))  # the end also needs a position


def _ids_of(spec: DataSpec, name: str, text: str) -> list[int]:
    codec = spec.target_codec
    ids = codec.encode(text)
    if UNKNOWN in ids or not ids:
        raise DataError(f"{name} has {text!r}, of which the model knows only {codec.decode(ids)!r}: reword it")
    return ids


def same_tokens(spec: DataSpec) -> Tensor:
    """The id of each token of the source vocabulary in the target vocabulary, (V,).

    Where the units differ, as words and subwords in older runs, it is the id of the text of the token.
    """
    if spec.inputs is None or spec.targets is None:  # pictures, or before the data has been read
        return torch.full((spec.input_size,), UNKNOWN)
    if spec.inputs.unit != spec.targets.unit:
        return torch.tensor(spec.targets.encode([spec.inputs.decode([token]) for token in range(spec.input_size)]))
    tokens = [spec.inputs.tokens([token]) for token in range(spec.input_size)]
    return torch.tensor([spec.targets.encode(token)[0] if token else UNKNOWN for token in tokens])


def _couplets(batch: Batch, spec: DataSpec) -> Template:
    """The template of the second line of each couplet."""
    sources, targets = spec.input_codec, spec.target_codec
    letters = torch.tensor([any(c.isalnum() for c in targets.decode([token])) for token in range(targets.size)])
    letters[[*NEVER_WRITTEN, END]] = False
    free, places, lines = letters.repeat(batch.size, 1), [], []
    same = same_tokens(spec)
    for row, length in enumerate(batch.lengths.tolist()):
        line = batch.inputs[row, :length].tolist()
        written = [] if batch.tokens is None else batch.tokens[row]
        joined = [text for token, text in zip(line, written, strict=False) if token == UNKNOWN and len(text) > 1]
        if joined:
            raise DataError(f"{joined[0]} is read as one character: put spaces between characters")
        tokens = same[line].tolist()
        places.append([None if letters[token] or token == UNKNOWN else token for token in tokens])
        free[row, tokens] = False
        lines.append(sources.decode(line))
    nothing = torch.zeros(targets.size, 0, dtype=torch.bool)
    device = batch.lengths.device
    rhymes: list[list[int]] = [[]] * batch.size
    return Template(places, free.to(device), True, rhymes, nothing.to(device), lines, targets.decode)
