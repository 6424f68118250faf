"""Softmax cross-entropy with label smoothing (Szegedy et al. 2016, section 7)."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.engines import resolve
from plusx.ops.lesson_layout import from_lesson, to_lesson
from plusx.ops.precision import accumulation_dtype, as_given, for_losses

Reduction = Literal["mean", "sum", "none"]
IGNORED_CLASS = torch.iinfo(torch.int64).min
"""The class number that PyTorch's kernel leaves out: not −100, which is a mistake like any other."""


class CrossEntropy(torch.autograd.Function):
    """`L_n = −Σ_c q[n, c] log p[n, c]` with `p = softmax(z)`; q is the smoothed target.

    `log p_c = z_c − log Σ_k exp z_k`, and q sums to 1, so `L = log Σ_k exp z_k − Σ_c q_c z_c` and

        ∂L/∂z_c = exp z_c / Σ_k exp z_k − q_c = p_c − q_c

    Subtracting the largest logit from all of them changes nothing in p and keeps exp from overflowing.
    """

    @staticmethod
    @as_given
    def forward(ctx: Any, logits: Tensor, q: Tensor) -> Tensor:
        """Map (N, C) logits and (N, C) target probabilities to (N,) losses."""
        ctx.save_for_backward(logits, q)
        z = logits - logits.amax(1, keepdim=True)
        # A logit of −∞ masks its class: where q is 0 it counts for nothing.
        return z.exp().sum(1).log() - torch.where(q == 0, 0, q * z).sum(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """`grad · (p − q)`, from operations that can be differentiated once more."""
        return CrossEntropy.gradient(grad, *ctx.saved_tensors), None

    @staticmethod
    @as_given
    def gradient(grad: Tensor, logits: Tensor, q: Tensor) -> Tensor:
        """Compute the gradient with respect to the logits."""
        odds = (logits - logits.detach().amax(1, keepdim=True)).exp()
        return grad[:, None] * (odds / odds.sum(1, keepdim=True) - q)


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    *,
    engine: str | None = None,
) -> Tensor:
    """Return `−log softmax(logits)[target]`.

    Args:
        logits: (N, C).
        target: (N,) class numbers, 0 … C − 1.
        label_smoothing: ε in 0 … 1; the target becomes `q = (1 − ε) · one-hot + ε / C`.
        reduction: "mean", "sum" or "none".
        engine: see `plusx.ops.engine`.

    Returns:
        A single number, or (N,) for "none".

    Raises:
        ValueError: if the shapes do not fit, or label_smoothing or reduction is out of range.
        IndexError, RuntimeError: if a class number is out of range, as the engine finds it.

    >>> loss = cross_entropy(torch.zeros(1, 10), torch.tensor([3]))
    >>> round(loss.item(), 4)  # log 10
    2.3026
    """
    if logits.dim() != 2 or target.shape != logits.shape[:1] or target.is_floating_point():
        raise ValueError(
            f"logits {tuple(logits.shape)} must be (N, C) and target {tuple(target.shape)} {target.dtype} "
            "(N,) class numbers"
        )
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0 and 1; got {label_smoothing}")
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction must be mean, sum or none; got {reduction!r}")
    target = target.long()
    match resolve(engine, "native"):
        case "reference":
            logits = for_losses(logits)
            losses = from_lesson(
                reference.cross_entropy(to_lesson(logits), target.cpu().numpy(), label_smoothing), logits
            )
        case "native":
            return F.cross_entropy(
                logits,
                target,
                ignore_index=IGNORED_CLASS,
                label_smoothing=label_smoothing,
                reduction=reduction,
            )
        case "handmade":
            logits = for_losses(logits)
            z = logits.to(accumulation_dtype(logits))
            classes = z.shape[1]
            q = torch.full_like(z, label_smoothing / classes)
            q.scatter_(1, target[:, None], 1 - label_smoothing + label_smoothing / classes)
            losses = CrossEntropy.apply(z, q).to(logits.dtype)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()
