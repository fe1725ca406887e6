"""The GPU target: Triton kernels that run a whole sequence, or a step in a few kernels.

`triton_source` generates the kernels; `resident` runs a whole sequence in one kernel, `stepwise` runs each step in a
few kernels. In tests, Triton's interpreter runs both on a CPU.
"""
