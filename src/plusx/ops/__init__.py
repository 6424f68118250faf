"""The arithmetic: pure functions on tensors, each with its gradient derived by hand beside it.

Pictures are (N, C, H, W), best in channels-last memory; kernels are (C_out, C_in / groups, K_h, K_w). Only
`plusx.ops.reference` keeps the lesson's own layout. Each function takes `engine=`; see `plusx.ops.engine`.

Where to read: `conv`, `pool`, `norm`, `activation`, `linear` and `loss` are what is called, and choose a way.
Formulas, forward beside backward, are in `conv`, `maximum`, `average`, `global_pool` and `norm_plain`. How
they are computed is in files of their own, by ending: `…_by_taps` by torch's operations, `…_in_loops` on the
processor's cores, `…_on_gpu` by Triton; `…_loops` and `…_planes` are the compiled loops. A convolution has
`routes`: `columns`, `winograd` and `strips`.
"""

from plusx.ops.activation import Activation, hardswish, relu
from plusx.ops.conv import conv2d
from plusx.ops.engines import ENGINES, engine
from plusx.ops.linear import linear
from plusx.ops.loss import cross_entropy
from plusx.ops.norm import batch_norm
from plusx.ops.pool import avg_pool2d, global_avg_pool2d, global_max_pool2d, max_pool2d
from plusx.ops.shape import output_size

__all__ = [
    "ENGINES",
    "Activation",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "engine",
    "global_avg_pool2d",
    "global_max_pool2d",
    "hardswish",
    "linear",
    "max_pool2d",
    "output_size",
    "relu",
]
