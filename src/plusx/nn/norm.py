"""Batch normalisation (Ioffe & Szegedy 2015, arXiv 1502.03167)."""

import torch
from torch import Tensor

from plusx import ops


class BatchNorm2d(torch.nn.BatchNorm2d):
    """`y = (x − mean) / sqrt(var + eps) · weight + bias`, statistics by channel over N, H and W.

    Takes the arguments of `torch.nn.BatchNorm2d` and holds the same state: `weight`, `bias`, `running_mean`,
    `running_var` (each (C,)) and `num_batches_tracked`. In training the batch's own statistics normalise it
    and move the running ones by `momentum`; in evaluation the running ones normalise.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: how far the running statistics move, 0 … 1; None for the plain average over all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without, the batch's own always count.
        device: where the state lies.
        dtype: its type.
        bias: whether there is one, if affine; False asks for a recent torch.
        engine: "reference", "handmade" or "native"; None leaves the choice to the surroundings.

    Attributes:
        shared: where several processes train together, take the statistics from the pictures of all (set it
            here; `torch.nn.SyncBatchNorm.convert_sync_batchnorm` puts layers in place that know no shortcut).

    Raises:
        ValueError: in the forward pass, if x is not (N, C, H, W) or training has a single value in a channel.

    Shapes: (N, C, H, W) → (N, C, H, W).

    >>> x = torch.randn(8, 3, 4, 4) * 5 + 2
    >>> y = BatchNorm2d(3)(x)
    >>> bool(y.mean().abs() < 1e-5)
    True
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        engine: str | None = None,
    ) -> None:
        """Build the layer; see the class for the arguments."""
        settings = num_features, eps, momentum, affine, track_running_stats, device, dtype
        super().__init__(*settings, **({} if bias else {"bias": False}))  # older torches know no bias
        self.engine = engine
        self.shared = False

    def forward(
        self, x: Tensor, added: Tensor | None = None, activation: ops.Activation = "identity"
    ) -> Tensor:
        """Normalise each channel of (N, C, H, W); then, if asked, add a shortcut and activate."""
        self._check_input_dim(x)
        momentum = self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:  # torch's meaning of None: the plain average over all batches so far
                momentum = 1.0 / float(self.num_batches_tracked)
        tracked = not self.training or self.track_running_stats
        return ops.batch_norm(
            x,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            training=self.training or self.running_mean is None,
            momentum=momentum if momentum is not None else 0.0,
            eps=self.eps,
            added=added,
            activation=activation,
            shared=self.shared,
            engine=self.engine,
        )
