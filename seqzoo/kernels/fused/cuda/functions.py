"""Functions that generated kernels call, with the formulas of `recurrence.h`, so that CPU and GPU agree."""

import triton
import triton.language as tl


@triton.jit
def sigmoid_(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def tanh_(x):
    size = tl.abs(x)
    square = x * x
    near = -5.70498872745e-3
    near = near * square + 2.06390887954e-2
    near = near * square - 5.37397155531e-2
    near = near * square + 1.33314422036e-1
    near = near * square - 3.33332819422e-1
    near = near * square * x + x
    far = 1.0 - 2.0 / (tl.exp(2.0 * size) + 1.0)
    return tl.where(size < 0.625, near, tl.where(x < 0, -far, far))


@triton.jit
def log1p_(x):
    """log(1 + x) for 0 <= x <= 1, as in Cephes."""
    total = 1.0 + x
    large = total > 1.41421356237309504880
    r = tl.where(large, 0.5 * total - 1.0, total - 1.0)
    square = r * r
    y = r * 7.0376836292e-2 - 1.1514610310e-1
    y = y * r + 1.1676998740e-1
    y = y * r - 1.2420140846e-1
    y = y * r + 1.4249322787e-1
    y = y * r - 1.6668057665e-1
    y = y * r + 2.0000714765e-1
    y = y * r - 2.4999993993e-1
    y = y * r + 3.3333331174e-1
    y = y * r * square - 0.5 * square + r
    y = tl.where(large, y + 0.693147180559945, y)
    # corrects the rounding of 1 + x for small x
    return tl.where(total == 1.0, x, y * (x / (total - 1.0)))


@triton.jit
def log_sigmoid_(x):
    return tl.where(x < 0, x, 0.0) - log1p_(tl.exp(-tl.abs(x)))
