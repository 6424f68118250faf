"""Predict: any picture, any trained network, its probabilities, and the same as a file to take away."""

from typing import Any

from plusx.app import drawing
from plusx.app.forms import Form
from plusx.app.numbers import percent
from plusx.app.page import House, Page
from plusx.app.texts import Texts
from plusx.inference import Answer
from plusx.models import Card

SHOWN = 10


def answer(form: Form, house: House) -> tuple[Card, Answer]:
    """What the chosen network says of the chosen picture, as `plusx predict` does; and the network's card."""
    with house.networks.borrowed(form.choice("network", house.networks.names())) as classifier:
        pixels = house.shelf.pixels(form.text("picture", "cat"), classifier.card.input_size)
        (found,) = classifier.predict(pixels)
        return classifier.card, found


def compute(form: Form, house: House, texts: Texts) -> dict[str, Any]:
    """Ask the network."""
    card, found = answer(form, house)
    picture = form.text("picture", "cat")
    network = form.choice("network", house.networks.names())
    likeliest = list(found.probabilities.items())[:SHOWN]
    return {
        "network": network,
        "picture": picture,
        "card": card,
        "found": found,
        "rows": [(name, share, percent(share)) for name, share in likeliest],
        "rest": len(found.probabilities) - len(likeliest),
        "whole": drawing.photo(house.shelf.pixels(picture, 224)),
        "seen": drawing.photo(house.shelf.pixels(picture, card.input_size)),
        "size": card.input_size,
    }


def as_json(form: Form, house: House) -> dict[str, Any]:
    """The answer as `plusx predict --json` gives it."""
    card, found = answer(form, house)
    return {
        "picture": form.text("picture", "cat"),
        "network": form.choice("network", house.networks.names()),
        "class": found.name,
        "doubtful": found.doubtful,
        "probabilities": {name: found.probabilities[name] for name in card.classes},
    }


PAGE = Page("predict", compute)
