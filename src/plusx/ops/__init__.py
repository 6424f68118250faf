"""The arithmetic: pure functions on tensors, each with its gradient derived by hand beside it.

Pictures are (N, C, H, W), best in channels-last memory; kernels are (C_out, C_in / groups, K_h, K_w). Only
`plusx.ops.reference` keeps the lesson's own layout. Each function takes `engine=`; see `plusx.ops.engine`.

Where to read: `convolution`, `pooling` and `normalisation` are rooms of their own; the small operations are
`activation`, `linear` and `loss`. A room has the function that is called, which chooses a way; the formulas,
forward beside backward; and the ways to compute them, such as `in_loops` (compiled, on all cores) and
`on_gpu` (Triton). What the rooms share is here: `compiling`, `loops`, `parts`, `lanes` and `bfloat16` for
what is compiled, `shape` and `engines`.
"""

from plusx.ops.activation import Activation, hardswish, relu
from plusx.ops.convolution.conv import conv2d
from plusx.ops.engines import ENGINES, engine
from plusx.ops.linear import linear
from plusx.ops.loss import cross_entropy
from plusx.ops.normalisation.norm import batch_norm
from plusx.ops.pooling.pool import avg_pool2d, global_avg_pool2d, global_max_pool2d, max_pool2d
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
