"""Pooling: `pool` has the calls, `maximum`, `average` and `global_pool` the formulas.

`by_taps`, `in_loops` and `on_gpu` compute them: by torch's operations, on the processor's cores, by Triton.
"""
