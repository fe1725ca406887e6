"""A GPU: `triton_source` writes Triton, `resident` runs whole sequences in one kernel, `stepwise` a step in few.

Triton's interpreter runs both on a CPU, where their arithmetic is checked.
"""
