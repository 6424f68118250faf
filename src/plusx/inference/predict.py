"""Probabilities for every picture, plain or averaged over test-time views, and what they are worth."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from plusx.data import reflect_crop
from plusx.models import Card


def normalise(pictures: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """`(x / 255 − mean) / std` by channel: uint8 (N, H, W, 3) → float32 (N, 3, H, W), channels-last.

    >>> black = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    >>> normalise(black, torch.full((3,), 0.5), torch.full((3,), 0.25))[0, :, 0, 0].tolist()
    [-2.0, -2.0, -2.0]
    """
    scaled = pictures.float().sub_(mean * 255).mul_(1 / (std * 255))
    return scaled.permute(0, 3, 1, 2)


PIXELS = 1000 * 32 * 32
"""Of the pictures that are taken at a time, whatever their size."""
STILL = (0, 0)
VIEWS = {
    "none": ((STILL, False),),
    "mirror": tuple(product((STILL,), (False, True))),
    "shift": tuple(product((STILL, (-1, -1), (1, 1)), (False, True))),
}
"""The views of a picture that each choice averages over: by how many pixels shifted, and whether mirrored."""


def _views(x: Tensor, views: str) -> Iterator[Tensor]:
    """The pictures in each of these views."""
    for shift, mirrored in VIEWS[views]:
        moved = x if shift == STILL else reflect_crop(x, torch.tensor([shift]).expand(len(x), 2) + 1, 1)
        yield moved.flip(3) if mirrored else moved


@torch.no_grad()
def predict(
    model: nn.Module,
    images: np.ndarray,
    card: Card,
    *,
    views: str = "none",
    batch_size: int | None = None,
    device: torch.device | None = None,
    precision: torch.dtype = torch.float32,
    show: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Class probabilities of pictures.

    Args:
        model: in evaluation mode, on `device`.
        images: uint8 (N, H, W, 3), of the size that the network was trained on.
        card: says how to normalise them.
        views: "none"; "mirror" and "shift" average the logits of 2 and of 6 views of each picture.
        batch_size: pictures at a time; as many as have the pixels of 1 000 of 32×32 unless given.
        device: the CPU unless given.
        precision: what products are computed in.
        show: called after every batch with how many pictures are done.

    Returns:
        float32 (N, classes) on the CPU, rows that sum to 1.
    """
    device = device or torch.device("cpu")
    batch_size = batch_size or max(1, PIXELS // (images.shape[1] * images.shape[2]))
    mean, std = (torch.tensor(v, dtype=torch.float32, device=device) for v in (card.mean, card.std))
    rows = []
    for start in range(0, len(images), batch_size):
        x = normalise(torch.from_numpy(images[start : start + batch_size]).to(device), mean, std)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            logits = torch.stack([model(view).float() for view in _views(x, views)]).mean(0)
        rows.append(logits.softmax(1).cpu())
        show(start + len(x))
    return torch.cat(rows)


def score(probabilities: Tensor | np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy 0…1 of probabilities (N, classes) against labels (N,).

    >>> score(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 1]))
    (0.3465..., 1.0)
    """
    probabilities, target = torch.as_tensor(probabilities), torch.from_numpy(labels)
    right = probabilities.gather(1, target[:, None]).clamp_min(1e-12)
    return -right.log().mean().item(), (probabilities.argmax(1) == target).double().mean().item()


def doubt_below(probabilities: Tensor, labels: np.ndarray) -> float:
    """The probability that 95 % of the right answers exceed: below it, an answer deserves doubt.

    A picture that shows none of the classes gets some answer too, but seldom a sure one (Hendrycks and Gimpel
    2016, arXiv 1610.02136).

    Args:
        probabilities: (N, classes), of pictures that were not trained on.
        labels: (N,).

    Returns:
        0 … 1; 0 if no answer is right.

    >>> doubt_below(torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1]))
    0.61
    """
    surest, answers = probabilities.max(1)
    sure = surest[answers == torch.from_numpy(labels)]
    return round(sure.double().quantile(0.05).item(), 4) if len(sure) else 0.0
