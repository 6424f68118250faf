"""Why the +1 matters: gradients through many layers, errors of deep networks, F(x) beside x in each block."""

import json
from functools import lru_cache
from importlib import resources
from typing import Any

import torch
from torch import Tensor, nn

from plusx import ops
from plusx.app.charts import Line
from plusx.app.forms import Form
from plusx.app.page import House, Page
from plusx.app.texts import Texts
from plusx.data import channel_statistics, sample
from plusx.inference import normalise
from plusx.lab import gradient_flow
from plusx.models.blocks import Block

DEPTHS = ("20", "32", "44", "56", "110")
SETTINGS = {"norm": "batch norm", "free": "no norm", "small": "no norm, weights × 0.7"}
"""Our words in addresses, and the laboratory's."""
PICTURES = 8
NETWORKS = ("plain20", "plain56", "resnet20", "resnet56")


@lru_cache(maxsize=64)
def gradients(name: str, setting: str) -> tuple[float, ...]:
    """‖∂L/∂h‖ at the output h of every block of a network as it begins, for a few pictures of the sample.

    As `plusx.lab.gradient_flow` measures it, on fewer pictures.
    """
    norm, factor = gradient_flow.SETTINGS[SETTINGS[setting]]
    images, labels = sample("train")
    chosen = slice(None, None, len(images) // PICTURES)
    mean, std = (torch.from_numpy(s).float() for s in channel_statistics(images))
    x = normalise(torch.from_numpy(images[chosen]), mean, std)
    with ops.engine("native"):
        model = gradient_flow.network(name, norm, factor)
        return tuple(gradient_flow.gradients(model, x, torch.from_numpy(labels[chosen])))


def sizes(model: nn.Module, x: Tensor) -> list[tuple[str, float, float]]:
    """For each residual block in order: its name, |F(x)| and |x| as they meet in the sum."""
    rows: list[tuple[str, float, float]] = []
    names = {module: name for name, module in model.named_modules()}

    def look(block: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        assert isinstance(block, Block)
        (given,) = inputs
        rows.append((names[block], float(block.transform(given).norm()), float(block.shortcut(given).norm())))

    hooks = [
        module.register_forward_hook(look)
        for module in model.modules()
        if isinstance(module, Block) and module.residual
    ]
    try:
        with torch.no_grad(), ops.engine("native"):
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return rows


def degradation() -> dict[str, Any]:
    """What the laboratory measured: see docs/results/lab/degradation/result.json."""
    path = resources.files("plusx.app").joinpath("results", "degradation.json")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def compute(form: Form, house: House, texts: Texts) -> dict[str, Any]:
    """Everything but the gradients."""
    network = form.choice("network", house.networks.names())
    picture = form.text("picture", "cat")
    with house.networks.borrowed(network) as classifier:
        blocks = sizes(classifier.network, house.shelf.input(picture, classifier.card))
    result = degradation()
    return {
        "depth": form.choice("depth", DEPTHS, "56"),
        "depths": [(depth, texts("layers", depth=depth)) for depth in DEPTHS],
        "setting": form.choice("setting", SETTINGS),
        "settings": [(name, texts[f"setting_{name}"]) for name in SETTINGS],
        "network": network,
        "picture": picture,
        "blocks": blocks,
        "ratios": [(name, f / x if x else 0.0, f"{f / x:.2f}" if x else "–") for name, f, x in blocks],
        "errors": _errors(result, texts),
        "because": result["because"][texts.language],
        "PICTURES": PICTURES,
    }


def _errors(result: dict[str, Any], texts: Texts) -> list[tuple[str, list[Line]]]:
    """Training and test error by epoch, means over the seeds, for the plain and the residual networks."""
    panels = []
    for kind in ("plain", "resnet"):
        drawn = []
        for series, depth in enumerate((20, 56)):
            for key, dashed in (("train_error", True), ("test_error", False)):
                seeds = result["numbers"][f"{kind}{depth}"][key]
                means = [100 * sum(errors) / len(errors) for errors in zip(*seeds, strict=True)]
                points = [(float(epoch), mean) for epoch, mean in enumerate(means, start=1)]
                drawn.append(Line(f"{texts('layers', depth=depth)}, {texts[key]}", points, series, dashed))
        panels.append((texts[f"error_{kind}"], drawn))
    return panels


def later(said: dict[str, Any], house: House, texts: Texts) -> dict[str, Any]:
    """The gradients, which take a second or a few."""
    depth, setting = said["depth"], said["setting"]
    plain, residual = gradients(f"plain{depth}", setting), gradients(f"resnet{depth}", setting)
    return {
        "gradient_lines": [
            Line(texts["residual"], _points(residual), 0),
            Line(texts["plain"], _points(plain), 1),
        ],
        "summary": [
            (texts[key], gradient_flow.typical_factor(list(norms)), gradient_flow.product(list(norms)))
            for key, norms in (("residual", residual), ("plain", plain))
        ],
        "count": len(plain),
    }


def _points(norms: tuple[float, ...]) -> list[tuple[float, float | None]]:
    return [(float(number), norm) for number, norm in enumerate(norms, start=1)]


PAGE = Page("plus-one", compute, later)
