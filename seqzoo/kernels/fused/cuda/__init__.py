"""The GPU target: `triton_source` generates Triton kernels; `resident` runs whole sequences in one kernel, `stepwise` a
few kernels per step.

In tests, Triton's interpreter runs both on a CPU.
"""
