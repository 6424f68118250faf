"""Inside the network: what its stages make of a picture, what a unit sees, the answer without a block."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plusx import ops
from plusx.app import drawing
from plusx.app.forms import FieldError, Form
from plusx.app.numbers import percent
from plusx.app.page import House, Page
from plusx.app.texts import Texts
from plusx.errors import UserError
from plusx.explain import StageMaps, grad_cam, panels, stage_maps
from plusx.models import stages
from plusx.models.blocks import Block
from plusx.ops.activation import activate

SHOWN = 5


def blocks(network: nn.Module) -> dict[str, Block]:
    """The residual blocks by name, in the order they run."""
    return {name: m for name, m in network.named_modules() if isinstance(m, Block) and m.residual}


@contextmanager
def without(network: nn.Module, shortcuts: Collection[str], transforms: Collection[str]) -> Iterator[None]:
    """Leave the shortcut out of the blocks named first, F out of those named second, inside the block.

    A block computes f(F(x) + x); so it becomes f(F(x)), f(x), or without both nothing but zeros.
    """

    def skip(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, *, also: bool) -> Tensor:
        assert isinstance(block, Block)
        return torch.zeros_like(output) if also else activate(block.shortcut(inputs[0]), block.activation)

    found, hooks = blocks(network), []
    try:
        for name in shortcuts:
            found[name].residual = False
        for name in transforms:
            hooks.append(found[name].register_forward_hook(partial(skip, also=name in shortcuts)))
        yield
    finally:
        for name in shortcuts:
            found[name].residual = True
        for hook in hooks:
            hook.remove()


def answers(network: nn.Module, x: Tensor) -> list[float]:
    """The probability of each class for one picture."""
    with torch.no_grad(), ops.engine("native"):
        return network(x).float().softmax(1)[0].tolist()


def compute(form: Form, house: House, texts: Texts) -> dict[str, Any]:
    """What can be said before the network is looked into: the answer, as it is and without what is off."""
    network, picture = form.choice("network", house.networks.names()), form.text("picture", "cat")
    with house.networks.borrowed(network) as classifier:
        card, inner = classifier.card, classifier.network
        names = list(blocks(inner))
        off_x, off_f = form.several("off_x", names), form.several("off_f", names)
        x = house.shelf.input(picture, card)
        whole = answers(inner, x)
        with without(inner, off_x, off_f):
            switched = answers(inner, x)
        stage_names = list(stages(inner))
        # What was chosen in another network means nothing in this one.
        class_name = form.known("class", card.classes, "")
        stage = form.known("stage", stage_names, stage_names[-1])
    order = sorted(range(len(whole)), key=lambda i: -max(whole[i], switched[i]))[:SHOWN]
    best, now = int(np.argmax(whole)), int(np.argmax(switched))
    return {
        "picture": picture,
        "network": network,
        "card": card,
        "blocks": names,
        "off_x": off_x,
        "off_f": off_f,
        "is_off": bool(off_x or off_f),
        "rows": [(card.classes[i], whole[i], switched[i]) for i in order],
        "before": (card.classes[best], percent(whole[best])),
        "after": (card.classes[now], percent(switched[now])),
        "classes": [("", texts["the_answer"]), *((name, name) for name in card.classes)],
        "class_name": class_name,
        "explained": class_name or card.classes[now],
        "stage": stage,
        "stage_names": stage_names,
        "size": card.input_size,
        "seen": drawing.photo(house.shelf.pixels(picture, card.input_size)),
        "y": form.whole("y", -1, -1, 4096),
        "x": form.whole("x", -1, -1, 4096),
    }


def later(said: dict[str, Any], house: House, texts: Texts) -> dict[str, Any]:
    """Grad-CAM, the maps of every stage, and the chosen unit."""
    pixels = house.shelf.pixels(said["picture"], said["size"])
    with house.networks.borrowed(said["network"]) as classifier:
        inner, card = classifier.network, classifier.card
        x = house.shelf.input(said["picture"], card)
        last = [*stages(inner).values()][-1][-1]
        with without(inner, said["off_x"], said["off_f"]):
            try:
                cam = grad_cam(inner, last, x, card.classes.index(said["explained"]))
                maps = _look(inner, x, said["stage"], said["y"], said["x"])
            except UserError as error:
                raise FieldError("page", "missing", reason=str(error)) from error
    chosen = next(found for found in maps if found.name == said["stage"])
    return {
        "cam": drawing.photo(panels.heat(pixels, cam)),
        "silent": not cam.any(),
        "unit": chosen.unit,
        "field": chosen.unit.field,
        "unit_sees": drawing.photo(panels.seen(pixels, chosen.unit.gradient)),
        "stages": [_stage(found) for found in maps],
    }


def _look(network: nn.Module, x: Tensor, stage: str, y: int, column: int) -> tuple[StageMaps, ...]:
    """The maps; the unit pointed at, or where there is none such, the one that fires most."""
    if min(y, column) >= 0:
        try:
            return stage_maps(network, x, {stage: (y, column)})
        except UserError:  # pointed at in a larger map, of another stage or another network
            pass
    return stage_maps(network, x)


def _stage(found: StageMaps) -> dict[str, Any]:
    height, width = found.maps.shape[1:]
    return {
        "name": found.name,
        "width": found.width,
        "rows": height,
        "columns": width,
        "unit": found.unit,
        "maps": [
            (channel, drawing.photo(picture), float(values.max()))
            for channel, picture, values in zip(
                found.channels, panels.feature_maps(found.maps), found.maps, strict=True
            )
        ],
    }


PAGE = Page("inside", compute, later)
