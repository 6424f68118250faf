"""Predict: any picture, any trained network, its probabilities, and the same as a file to take away."""

from typing import Any

from plusx.app import drawing
from plusx.app.forms import Form
from plusx.app.page import House, Page, percent
from plusx.app.texts import Texts
from plusx.inference import Answer, Classifier

SHOWN = 10


def answer(form: Form, house: House) -> tuple[Classifier, Answer]:
    """What the chosen network says of the chosen picture, as `plusx predict` does."""
    classifier = house.networks.get(form.choice("network", house.networks.names()))
    pixels = house.shelf.pixels(form.text("picture", "cat"), classifier.card.input_size)
    (found,) = classifier.predict(pixels)
    return classifier, found


def compute(form: Form, house: House, texts: Texts) -> dict[str, Any]:
    """Ask the network."""
    classifier, found = answer(form, house)
    card, picture = classifier.card, form.text("picture", "cat")
    network = form.choice("network", house.networks.names())
    likeliest = list(found.probabilities.items())[:SHOWN]
    return {
        "network": network,
        "networks": [(name, name) for name in house.networks.names()],
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
    classifier, found = answer(form, house)
    return {
        "picture": form.text("picture", "cat"),
        "network": form.choice("network", house.networks.names()),
        "class": found.name,
        "doubtful": found.doubtful,
        "probabilities": {name: found.probabilities[name] for name in classifier.card.classes},
    }


PAGE = Page("predict", compute)
