"""A trained network with all that it needs to answer: what `plusx.load` returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from plusx import models, ops
from plusx.console import counting
from plusx.data import read_picture, square
from plusx.device import resolve_precision
from plusx.errors import UserError
from plusx.inference.predict import predict
from plusx.models import Card

Picture = str | Path | Image.Image | np.ndarray


@dataclass(frozen=True)
class Answer:
    """What a network says of one picture.

    Attributes:
        name: the likeliest class.
        probability: how likely, 0…1.
        doubtful: True if that is below the card's `doubt`: the picture looks like none of the classes.
        probabilities: of every class by name, likeliest first; they sum to 1.
    """

    name: str
    probability: float
    doubtful: bool
    probabilities: dict[str, float]


class Classifier(nn.Module):
    """A network and its card.

    Called like any module it maps normalised pictures (N, 3, H, W) to logits (N, classes); `predict` takes
    pictures as people have them.

    Attributes:
        network: as `create_model` built it.
        card: class names, normalisation, input size.

    >>> classifier = load("cifar10")
    >>> (answer,) = classifier.predict(np.zeros((32, 32, 3), np.uint8))
    >>> answer.name in classifier.card.classes
    True
    """

    def __init__(self, network: nn.Module, card: Card) -> None:
        """Keep both; the network goes into evaluation mode."""
        super().__init__()
        self.network = network.eval()
        self.card = card

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pictures (N, 3, H, W) → logits (N, classes)."""
        return self.network(x)

    def predict(self, pictures: Picture | Sequence[Picture], *, views: str = "none") -> list[Answer]:
        """Name what is on pictures.

        Args:
            pictures: one or several: a path, a PIL image, or an array (H, W, 3) of uint8. An array
                (N, H, W, 3) is N pictures. Each is cut to its central square and reduced to the input size.
            views: "none", "mirror" or "shift": average over so many views of each picture, see `predict`.

        Returns:
            An answer for each picture, in their order.

        Raises:
            UserError: if a file is missing or can't be read as a picture, or the answer is no number.
            TypeError: for something that is no picture.
        """
        rows = self.probabilities(pictures, views=views)
        return [self._answer(row) for row in rows]

    def probabilities(
        self,
        pictures: Picture | Sequence[Picture],
        *,
        views: str = "none",
        show: Callable[[int], None] = lambda done: None,
    ) -> np.ndarray:
        """Like `predict`, but the plain table: float32 (N, classes), rows that sum to 1.

        `show` is called again and again with how many pictures are done.
        """
        device = next(self.parameters()).device
        with ops.engine("native"):  # all engines agree, and this one is the quickest to start
            table = predict(
                self,
                self.read(pictures),
                self.card,
                views=views,
                device=device,
                precision=resolve_precision("auto", device),
                show=show,
            ).numpy()
        if not np.isfinite(table).all():
            raise UserError(
                "the network answers with what is no number: its weights are damaged; use another copy"
            )
        return table

    def read(self, pictures: Picture | Sequence[Picture]) -> np.ndarray:
        """What the network gets to see of pictures, see `predict`: uint8 (N, size, size, 3)."""
        size = self.card.input_size
        if isinstance(pictures, np.ndarray) and pictures.ndim == 4:
            if pictures.dtype == np.uint8 and pictures.shape[1:] == (size, size, 3):
                return pictures.copy()
            pictures = list(pictures)
        elif isinstance(pictures, (str, Path, Image.Image, np.ndarray)):
            pictures = [pictures]
        images = np.empty((len(pictures), size, size, 3), np.uint8)
        with counting(Console(stderr=True), "reading pictures", len(pictures)) as show:
            for number, picture in enumerate(pictures):
                images[number] = self._read_one(picture)
                show(number + 1)
        return images

    def _read_one(self, picture: Picture) -> np.ndarray:
        size = self.card.input_size
        if isinstance(picture, (str, Path)):
            return read_picture(picture, size)
        if isinstance(picture, np.ndarray):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise TypeError(f"a picture is uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
            if picture.shape[:2] == (size, size):
                return picture
            picture = Image.fromarray(picture)
        if not isinstance(picture, Image.Image):
            raise TypeError(f"a picture is a path, a PIL image or an array, not {type(picture).__name__}")
        return square(picture, size)

    def _answer(self, row: np.ndarray) -> Answer:
        order = np.argsort(-row, kind="stable")
        probabilities = {self.card.classes[i]: float(row[i]) for i in order}
        name, probability = next(iter(probabilities.items()))
        return Answer(name, probability, probability < self.card.doubt, probabilities)


def load(run_or_file: str | Path) -> Classifier:
    """A trained network from a run directory, from its `model.safetensors`, or by name.

    Args:
        run_or_file: one of them; "cifar10" is the network that comes with plusx.

    Returns:
        The classifier, in evaluation mode, on the CPU.

    Raises:
        UserError: if there are no weights, they are damaged, or they don't say which network they are.

    >>> load("cifar10").card.model
    'fast'
    """
    network = models.load(run_or_file)
    card: Card = network.card  # type: ignore[assignment]
    return Classifier(network, card)
