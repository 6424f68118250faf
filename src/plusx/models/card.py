"""What a weights file says of itself, and how far that is believed."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from plusx.text import is_visible

LARGEST_INPUT = 512  # pixels: the largest side that pictures are read at
_LONGEST = 2**22  # bytes of a card: room for 100 000 names


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    if not all(map(is_visible, names)):
        raise ValueError("a name can't be shown")
    return names


Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Spread = Annotated[float, Field(ge=1e-6, le=1.0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Card:
    """What a weights file says of itself: enough to rebuild the network and to feed it.

    Attributes:
        model: a name that `create_model` knows.
        residual: False for the plain twin.
        classes: the class names, in the order of the logits.
        mean: channel means (R, G, B) of the training pictures, 0…1.
        std: channel standard deviations (R, G, B), 0…1.
        input_size: side of the pictures it was trained on, in pixels.
        doubt: probability, 0…1, below which an answer is doubtful; see `plusx.inference.doubt_below`.
    """

    model: Annotated[str, Field(max_length=100)]
    residual: bool
    classes: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_names)]
    mean: Annotated[tuple[Share, ...], Field(min_length=3, max_length=3)]
    std: Annotated[tuple[Spread, ...], Field(min_length=3, max_length=3)]
    input_size: Annotated[int, Field(ge=1, le=LARGEST_INPUT)]
    doubt: Share = 0.0

    def to_json(self) -> str:
        """The card as a weights file holds it."""
        return TypeAdapter(Card).dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Read a card that anyone may have written.

        Raises:
            ValueError: if it is no card, or claims what no card of ours would; says what.

        >>> card = Card("fast", True, ("cat", "dog"), (0.5,) * 3, (0.25,) * 3, 32)
        >>> Card.from_json(card.to_json()) == card
        True
        >>> Card.from_json(card.to_json().replace("32", "1000000000"))
        Traceback (most recent call last):
        ...
        ValueError: input_size: Input should be less than or equal to 512
        """
        if len(text) > _LONGEST:
            raise ValueError(f"{len(text):,} characters")
        try:
            return TypeAdapter(Card).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(": ".join([*map(str, first["loc"]), first["msg"]])) from error
