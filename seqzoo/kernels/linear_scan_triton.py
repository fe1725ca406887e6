"""The scan of `linear_scan.py` as a CUDA kernel: an associative scan over chunks of steps, one chunk after the other.

A program computes some features of a row. If there are too few rows and features to fill a GPU, sequences are cut into
segments that run in parallel, in the same three passes as on a CPU: reduce each segment to an affine map, scan the
maps, run each segment from its initial state. Arithmetic has at least 32 bits.
"""

# no `from __future__ import annotations`: Triton reads annotations as objects
import torch
import triton
import triton.language as tl
from torch import Tensor

STEPS, FEATURES = 64, 32
# number of programs that fills a large GPU
PROGRAMS = 256
# minimum number of chunks per segment; shorter segments are not worth the additional passes
CHUNKS = 4


@triton.jit
def composed(a, b, later_a, later_b):
    """The composition of h -> a h + b and then h -> later_a h + later_b."""
    return a * later_a, later_a * b + later_b


@triton.jit
def composed_complex(a, ai, b, bi, later_a, later_ai, later_b, later_bi):
    return (
        a * later_a - ai * later_ai,
        a * later_ai + ai * later_a,
        later_a * b - later_ai * bi + later_b,
        later_a * bi + later_ai * b + later_bi,
    )


@triton.jit
def final(x, STEPS: tl.constexpr):  # noqa: N803
    """The last row of (STEPS, F), as (1, F)."""
    return tl.sum(tl.where(tl.arange(0, STEPS)[:, None] == STEPS - 1, x, 0.0), 0, keep_dims=True)


@triton.jit(do_not_specialize=["steps", "length", "segments"])
def kernel(
    a, b, h, states, products, steps, length, segments, features,
    a_row, a_step, a_feature, b_row, b_step, b_feature,
    REAL: tl.constexpr, PARTS: tl.constexpr, BACKWARDS: tl.constexpr, ENDS: tl.constexpr,  # noqa: N803
    STEPS: tl.constexpr, FEATURES: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Run each segment from its initial state.

    Args:
        a, b: (B, T, F); with PARTS = 2 complex numbers, whose strides count parts.
        h: (B, segments, F).
        states: (B, T, F).
        ENDS: write the affine map of each segment instead, into products and states, both (B, segments, F).
    """
    row, segment, block = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    feature = block * FEATURES + tl.arange(0, FEATURES)[None, :]
    valid = feature < features
    end = ((row * segments + segment) * features + feature) * PARTS
    if ENDS:
        state = tl.zeros((1, FEATURES), REAL)
        product = state + 1.0
    else:
        state = tl.load(h + end, mask=valid, other=0.0).to(REAL)
    if PARTS == 2:
        if ENDS:
            state_i = tl.zeros((1, FEATURES), REAL)
            product_i = state_i
        else:
            state_i = tl.load(h + end + 1, mask=valid, other=0.0).to(REAL)
    stop = tl.minimum((segment + 1) * length, steps)
    for start in range(segment * length, stop, STEPS):
        place = start + tl.arange(0, STEPS)[:, None]
        inside = (place < stop) & valid
        t = (steps - 1 - place if BACKWARDS else place).to(tl.int64)
        of_a = a + row * a_row + t * a_step + feature * a_feature
        of_b = b + row * b_row + t * b_step + feature * b_feature
        of_states = states + ((row * steps + t) * features + feature) * PARTS
        # beyond the end: the identity map
        x = tl.load(of_a, mask=inside, other=1.0).to(REAL)
        y = tl.load(of_b, mask=inside, other=0.0).to(REAL)
        if PARTS == 1:
            x, y = tl.associative_scan((x, y), 0, composed)
            if ENDS:
                x, y = final(x, STEPS), final(y, STEPS)
                state = x * state + y
                product = x * product
            else:
                y = x * state + y
                tl.store(of_states, y, mask=inside)
                state = final(y, STEPS)
        else:
            xi = tl.load(of_a + 1, mask=inside, other=0.0).to(REAL)
            yi = tl.load(of_b + 1, mask=inside, other=0.0).to(REAL)
            x, xi, y, yi = tl.associative_scan((x, xi, y, yi), 0, composed_complex)
            if ENDS:
                x, xi, y, yi = final(x, STEPS), final(xi, STEPS), final(y, STEPS), final(yi, STEPS)
                state, state_i = x * state - xi * state_i + y, x * state_i + xi * state + yi
                product, product_i = x * product - xi * product_i, x * product_i + xi * product
            else:
                y, yi = x * state - xi * state_i + y, x * state_i + xi * state + yi
                tl.store(of_states, y, mask=inside)
                tl.store(of_states + 1, yi, mask=inside)
                state, state_i = final(y, STEPS), final(yi, STEPS)
    if ENDS:
        tl.store(states + end, state, mask=valid)
        tl.store(products + end, product, mask=valid)
        if PARTS == 2:
            tl.store(states + end + 1, state_i, mask=valid)
            tl.store(products + end + 1, product_i, mask=valid)


def scan(a: Tensor, b: Tensor, h: Tensor, backwards: bool) -> Tensor:
    """`linear_scan` without lengths and derivatives; `backwards`: from the last step to the first."""
    rows, steps = b.shape[:2]
    flat = b.reshape(rows, steps, -1)
    with torch.cuda.device_of(b):
        states = _scan(a.reshape(flat.shape), flat, h.reshape(rows, 1, -1), backwards)
    return states.view(b.shape)


def _scan(a: Tensor, b: Tensor, h: Tensor, backwards: bool) -> Tensor:
    """a, b: (B, T, F); h: (B, 1, F)."""
    rows, steps, features = b.shape
    programs = rows * triton.cdiv(features, FEATURES)
    segments = max(1, min(triton.cdiv(PROGRAMS, programs), steps // (CHUNKS * STEPS)))
    length = triton.cdiv(triton.cdiv(steps, segments), STEPS) * STEPS
    segments = triton.cdiv(steps, length)
    states = torch.empty_like(b, memory_format=torch.contiguous_format)
    if segments > 1:
        exact = torch.promote_types(b.dtype, torch.float32)
        product, end = (b.new_empty(rows, segments, features, dtype=exact) for _ in range(2))
        _launch(a, b, h, end, product, length, backwards)
        # segments are in the order of the scan
        ends = _scan(product, end, h, False)
        h = torch.cat([h.to(exact), ends[:, :-1]], dim=1)
    _launch(a, b, h, states, None, length, backwards)
    return states


def _launch(
    a: Tensor, b: Tensor, h: Tensor, states: Tensor, products: Tensor | None, length: int, backwards: bool
) -> None:
    rows, steps, features = b.shape
    segments = triton.cdiv(steps, length)
    parts = 2 if b.is_complex() else 1
    real = tl.float64 if b.dtype in (torch.float64, torch.complex128) else tl.float32
    strides = [parts * stride for tensor in (a, b) for stride in tensor.stride()]
    a, b, h, states, out = (
        torch.view_as_real(tensor) if tensor.is_complex() else tensor
        for tensor in (a, b, h.contiguous(), states, states if products is None else products)
    )
    kernel[(rows, segments, triton.cdiv(features, FEATURES))](
        a, b, h, states, out, steps, length, segments, features, *strides,
        REAL=real, PARTS=parts, BACKWARDS=backwards, ENDS=products is not None, STEPS=STEPS, FEATURES=FEATURES,
    )  # fmt: skip
