"""Windows of running text cut where documents begin."""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.masking import mask
from seqzoo.data.batching.ragged import gather_spans, is_padded


def split_documents(batch: Batch, separator: int, last: Tensor | None) -> tuple[Batch, Tensor]:
    """Split a window of B streams into rows that each hold a piece of one document.

    Args:
        batch: the window.
        separator: the token that each document begins with; it is read with a fresh state.
        last: the second return value for the previous window; None for the first one.

    Returns:
        A batch with the pieces as rows, in order, and the row (B,) in which each stream ends.
    """
    begins = (batch.inputs == separator) & mask(batch.lengths, batch.inputs.shape[1])
    continued = ~begins[:, 0]
    begins[:, 0] = True
    stream, step = begins.nonzero(as_tuple=True)
    ends = begins.sum(1).cumsum(0) - 1
    following = torch.cat([step[1:], step[:1]])
    following[ends] = batch.lengths
    lengths = following - step
    places = stream * batch.inputs.shape[1] + step
    first = torch.cat([ends.new_zeros(1), ends[:-1] + 1])
    continues = torch.full_like(stream, -1)
    if last is not None:
        continues[first[continued]] = last[continued]
    before = None
    if batch.before is not None:
        begin = (batch.before == separator).long()
        begins_later = begin.flip(1).cumsum(1).flip(1) - begin
        before = batch.before.new_full((len(stream), batch.before.shape[1]), -1)
        before[first[continued]] = batch.before.masked_fill(begins_later > 0, -1)[continued]
    pieces = Batch(
        gather_spans(batch.inputs.flatten(), places, lengths)[0],
        lengths,
        None if batch.targets is None else gather_spans(batch.targets.flatten(), places, lengths)[0],
        padded=is_padded(lengths),
        learning_rate_scale=batch.learning_rate_scale,
        continues=continues,
        before=before,
    )
    return pieces, ends
