"""Batch normalisation, the shortcut's sum and the activation in one pass each way.

The passes are compiled loops on the processor (`in_loops`) and Triton kernels on a GPU (`on_gpu`); what they
compute stands here.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from plusx.ops import gpu, loops
from plusx.ops.activation import Activation, activate
from plusx.ops.loops import layout_of
from plusx.ops.normalisation.plain import Normalisation
from plusx.ops.precision import as_given

SMALL = 32
"""Pixels of a plane below which a row of bfloat16 is too short for the loops."""


def suits(x: Tensor, added: Tensor | None) -> bool:
    """Whether there are fused passes for this: plain pictures of one dtype (channels-last on a GPU)."""
    if x.dim() != 4 or x.numel() == 0:
        return False
    tensors = [x] if added is None else [x, added]
    alike = all(t.dtype == x.dtype and t.shape == x.shape and t.device == x.device for t in tensors)
    if not alike or not (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)):
        return False
    return loops.suits(*tensors) or _kernels_suit(*tensors)


def pays(x: Tensor) -> bool:
    """Whether one pass is faster than PyTorch's layers, as `plusx bench ops normalisation` found it.

    Small planes of bfloat16 in contiguous memory are not, and on a GPU only a recorded pass is.
    """
    if x.device.type == "cuda":
        return gpu.kernels_preferred()
    small = x.dtype == torch.bfloat16 and x.shape[2] * x.shape[3] < SMALL
    return not (small and layout_of(x) == torch.contiguous_format)


def _kernels_suit(*tensors: Tensor) -> bool:
    return gpu.suits(*tensors) and tensors[0].is_contiguous(memory_format=torch.channels_last)


def _passes(x: Tensor) -> ModuleType:
    if _kernels_suit(x):
        from plusx.ops.normalisation import on_gpu  # Triton is not everywhere

        return on_gpu
    from plusx.ops.normalisation import in_loops

    return in_loops


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (divided by the number of values) of each channel, in float32 at least."""
    mean, variance = _passes(x).statistics(x.detach())
    return mean, variance


class FusedNormalisation(torch.autograd.Function):
    """`y = f(v)` with `v = w · (x − μ) · r + b + added` and r = 1 / √(σ² + ε); f is an activation.

    With G = ∂L/∂v = f'(v) · ∂L/∂y, ∂L/∂added = G, and the rest is that of
    `plusx.ops.normalisation.plain.Normalisation`:

        ∂L/∂b = Σ G    ∂L/∂w = Σ G · x̂    ∂L/∂x = w · r · (G − mean(G) − x̂ · mean(G · x̂))
    """

    @staticmethod
    @as_given
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        added: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        training: bool,
        activation: Activation,
    ) -> Tensor:
        """A multiplication, one or two sums and the activation for each value."""
        ctx.save_for_backward(x, weight, bias, added, mean, variance)
        ctx.eps, ctx.training, ctx.activation = eps, training, activation
        y: Tensor = _passes(x).forward(x, weight, bias, _in_order(added, x), mean, variance, eps, activation)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The formulas above; to be differentiated once more, those of the single operations."""
        x, weight, bias, added, mean, variance = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (*_gradients_of_the_parts(ctx, grad), None, None, None, None, None)
        dx, dweight, dbias, passed = _passes(x).backward(
            grad, x, weight, bias, _in_order(added, x), mean, variance, ctx.eps, ctx.training, ctx.activation
        )
        of_parameters = [None if w is None else v.to(w.dtype) for v, w in ((dweight, weight), (dbias, bias))]
        return (dx, *of_parameters, passed, None, None, None, None, None)


def _in_order(added: Tensor | None, x: Tensor) -> Tensor | None:
    return None if added is None else added.contiguous(memory_format=layout_of(x))


def _gradients_of_the_parts(ctx: Any, grad: Tensor) -> list[Tensor | None]:
    """The gradients of x, weight, bias and added, from operations that can be differentiated again.

    Views of them are asked for theirs: x may depend on `added`, as in a residual block, and the gradient
    along that way is not this function's.
    """
    *given, mean, variance = ctx.saved_tensors
    x, weight, bias, added = (None if v is None else v.view_as(v) for v in given)
    assert x is not None
    count = x.numel() // x.shape[1] if ctx.training else None
    v = Normalisation.apply(x, weight, bias, mean, variance, ctx.eps, count)
    y = activate(v if added is None else v + added, ctx.activation, engine="handmade")
    wanted = [v for v in (x, weight, bias, added) if v is not None and v.requires_grad]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return [next(found) if v is not None and v.requires_grad else None for v in (x, weight, bias, added)]
