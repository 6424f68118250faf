"""Which parts of a picture speak for a class: Grad-CAM and integrated gradients, both computed by captum."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from plusx import ops
from plusx.errors import optional

FEWEST_STEPS, MOST_STEPS = 64, 512
TOLERANCE = 0.01
PIXELS_AT_A_TIME = 64 * 32 * 32


@dataclass(frozen=True)
class IntegratedGradients:
    """What each value of a picture adds to a class's logit on the way from a plain picture to this one.

    Attributes:
        values: float32 (3, H, W); they sum to `logit − baseline_logit`, up to `error`.
        logit: of the class, for the picture.
        baseline_logit: of the class, for the plain picture.
        steps: how many points of the way were looked at.
    """

    values: np.ndarray
    logit: float
    baseline_logit: float
    steps: int

    @property
    def error(self) -> float:
        """How far the sum of the values is from the difference of the logits, in logits (completeness)."""
        return abs(float(self.values.sum(dtype=np.float64)) - (self.logit - self.baseline_logit))

    @property
    def is_complete(self) -> bool:
        """Whether `error` is within 1 % of the difference of the logits, or within 0.01."""
        return self.error <= TOLERANCE * max(abs(self.logit - self.baseline_logit), 1)


def grad_cam(network: nn.Module, layer: nn.Module, x: Tensor, target: int) -> np.ndarray:
    """Where the channels that speak for a class are active: `relu(Σ_c mean(∂logit/∂A_c) · A_c)`.

    Source: Selvaraju et al. 2017, arXiv 1610.02391.

    Args:
        network: in evaluation mode.
        layer: of the network; its output A is (1, C, h, w).
        x: the normalised picture, float32 (1, 3, H, W).
        target: the class's place among the logits.

    Returns:
        float32 (h, w), not negative.

    Raises:
        UserError: if captum is not installed.
    """
    attr = optional("captum.attr", "explain")
    with ops.engine("native"):
        found: Tensor = attr.LayerGradCam(network, layer).attribute(x, target, relu_attributions=True)
    return found[0, 0].detach().cpu().numpy()


def integrated_gradients(network: nn.Module, x: Tensor, target: int) -> IntegratedGradients:
    """The gradient of a logit, averaged on the straight way from a plain picture to this one, times that way.

    Source: Sundararajan et al. 2017, arXiv 1703.01365. The plain picture has the mean colour of the training
    pictures, which is 0 after normalisation: from a black one, as in the paper, nothing black could count.
    The steps begin at 64 and double, up to 512, until the values sum to the difference of the logits as
    `is_complete` wants it.

    Args:
        network: in evaluation mode.
        x: the normalised picture, float32 (1, 3, H, W).
        target: the class's place among the logits.

    Raises:
        UserError: if captum is not installed.
    """
    attr = optional("captum.attr", "explain")
    plain = torch.zeros_like(x)
    with ops.engine("native"):
        with torch.no_grad():
            logit, baseline_logit = (network(picture)[0, target].item() for picture in (x, plain))
        method = attr.IntegratedGradients(network)
        steps = FEWEST_STEPS
        while True:
            values: Tensor = method.attribute(
                x,
                plain,
                target,
                n_steps=steps,
                method="riemann_middle",
                internal_batch_size=max(1, PIXELS_AT_A_TIME // (x.shape[2] * x.shape[3])),
            )
            found = IntegratedGradients(values[0].float().cpu().numpy(), logit, baseline_logit, steps)
            if found.is_complete or steps == MOST_STEPS:
                return found
            steps *= 2
