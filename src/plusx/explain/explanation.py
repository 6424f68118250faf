"""Why a network answers as it does: everything about one picture, as numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from plusx.errors import UserError
from plusx.explain.attribution import IntegratedGradients, grad_cam, integrated_gradients
from plusx.explain.features import StageMaps, stage_maps
from plusx.inference import Answer, Classifier, normalise
from plusx.inference.classifier import Picture
from plusx.models import stages

NAMES_SHOWN = 20


@dataclass(frozen=True)
class Explanation:
    """What was found; H and W are the network's input size, h and w the size of its last maps.

    Attributes:
        picture: uint8 (H, W, 3), what the network saw.
        answer: what it said, as `Classifier.predict`.
        class_name: the class that is explained: the answer, unless another was asked for.
        grad_cam: float32 (h, w), not negative: where the last stage speaks for the class.
        integrated_gradients: what each pixel adds to the class's logit.
        stages: the strongest maps of each stage, in the order they run.
    """

    picture: np.ndarray
    answer: Answer
    class_name: str
    grad_cam: np.ndarray
    integrated_gradients: IntegratedGradients
    stages: tuple[StageMaps, ...]


def explain(
    classifier: Classifier,
    picture: Picture,
    *,
    class_name: str | None = None,
    places: Mapping[str, tuple[int, int]] | None = None,
) -> Explanation:
    """Explain one answer of a trained network.

    Args:
        classifier: see `plusx.load`.
        picture: a path, a PIL image, or an array (H, W, 3) of uint8, as `Classifier.predict` takes it.
        class_name: the class to explain; the network's answer unless given.
        places: (row, column) of the unit to look at, by stage; elsewhere it is the unit that fires most.

    Raises:
        UserError: if the picture can't be read, there is no such class, stage or unit, or captum is missing.
        TypeError: for something that is no picture, or several.

    >>> import plusx
    >>> explanation = explain(plusx.load("cifar10"), plusx.data.sample("test")[0][0])
    >>> explanation.picture.shape, explanation.grad_cam.shape, explanation.integrated_gradients.values.shape
    ((32, 32, 3), (4, 4), (3, 32, 32))
    >>> [(stage.name, stage.maps.shape) for stage in explanation.stages][-1]
    ('stage3', (6, 4, 4))
    """
    network, card = classifier.network, classifier.card
    if class_name is not None and class_name not in card.classes:
        names = ", ".join(card.classes[:NAMES_SHOWN])
        more = f" and {len(card.classes) - NAMES_SHOWN} more" if len(card.classes) > NAMES_SHOWN else ""
        raise UserError(f"the network knows no class {class_name!r}; choose one of: {names}{more}")
    images = classifier.read(picture)
    if len(images) != 1:
        raise TypeError(f"explain takes one picture at a time, not {len(images)}")
    (answer,) = classifier.predict(images)
    explained = class_name or answer.name
    target = card.classes.index(explained)
    device = next(network.parameters()).device
    mean, std = (torch.tensor(v, dtype=torch.float32, device=device) for v in (card.mean, card.std))
    x = normalise(torch.from_numpy(images).to(device), mean, std)
    last = [*stages(network).values()][-1][-1]
    return Explanation(
        images[0],
        answer,
        explained,
        grad_cam(network, last, x, target),
        integrated_gradients(network, x, target),
        stage_maps(network, x, places),
    )
