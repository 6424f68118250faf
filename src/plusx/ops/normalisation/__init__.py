"""Batch normalisation: `norm` has the call, `plain` the formulas, `fused` those in one pass with more.

`in_loops` and `on_gpu` compute the pass: on the processor's cores, by Triton.
"""
