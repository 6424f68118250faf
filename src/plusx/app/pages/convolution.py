"""Convolution: a picture, a kernel, K, S, P and D; the output, its size, and one output pixel written out."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from plusx import ops
from plusx.app import drawing
from plusx.app.forms import FieldError, Form
from plusx.app.page import House, Page
from plusx.app.texts import Texts
from plusx.models import Card
from plusx.ops.shape import Edges, Padding, edges, span

Array = NDArray[np.float64]

KERNELS = ("edge", "vertical", "horizontal", "blur", "sharpen", "own", "trained")
LARGEST_K = 11


def preset(name: str, K: int) -> Array:
    """A kernel (K, K) by name.

    >>> preset("blur", 2)
    array([[0.25, 0.25],
           [0.25, 0.25]])
    >>> float(preset("edge", 3).sum())
    0.0
    """
    middle = (K - 1) // 2
    centre = np.zeros((K, K))
    centre[middle, middle] = 1.0
    ramp = np.sign(np.arange(K) - (K - 1) / 2)
    return {
        "edge": centre * K**2 - 1,
        "vertical": np.tile(ramp, (K, 1)),
        "horizontal": np.tile(ramp[:, None], (1, K)),
        "blur": np.full((K, K), 1 / K**2),
        "sharpen": 2 * centre - 1 / K**2,
    }[name]


@dataclass(frozen=True)
class Choice:
    """What the controls say, read and checked."""

    picture: str
    size: int
    kernel: str
    network: str
    filter: int
    filters: int
    weight: Tensor
    """float64 (C_in, K, K)."""
    card: Card | None
    """Of the network that the filter is from."""
    stride: int
    mode: str
    amount: int
    dilation: int

    @property
    def K(self) -> int:  # noqa: N802  (the lesson's symbol)
        """The kernel's size."""
        return self.weight.shape[1]

    @property
    def padding(self) -> Padding:
        """As `ops.conv2d` takes it."""
        return self.amount if self.mode == "number" else self.mode


def read(form: Form, house: House) -> Choice:
    """Check every control.

    Raises:
        FieldError: if one can't be used.
    """
    kernel = form.choice("kernel", KERNELS)
    K = form.whole("k", 3, 1, LARGEST_K)
    network = form.choice("network", house.networks.names())
    number, filters = 0, 1
    card = None
    if kernel == "trained":
        with house.networks.borrowed(network) as classifier:
            card = classifier.card
            # The convolution that sees the picture itself.
            first = next(m for m in classifier.modules() if isinstance(m, nn.Conv2d)).weight.detach()
        filters = len(first)
        number = min(form.whole("filter", 0, 0, 4095), filters - 1)
        weight = first[number].double()
    elif kernel == "own":
        weight = torch.from_numpy(_drawn(form, K))[None]
    else:
        weight = torch.from_numpy(preset(kernel, K))[None]
    return Choice(
        picture=form.text("picture", "cat"),
        size=form.whole("size", 32, 8, 224),
        kernel=kernel,
        network=network,
        filter=number,
        filters=filters,
        weight=weight,
        card=card,
        stride=form.whole("s", 1, 1, 8),
        mode=form.choice("padding", ("valid", "same", "number")),
        amount=form.whole("p", 1, 0, 10),
        dilation=form.whole("d", 1, 1, 4),
    )


def _drawn(form: Form, K: int) -> Array:
    """The kernel drawn by hand, cut or filled with zeros around its middle when K was changed."""
    values = form.numbers("w", LARGEST_K**2)
    side = round(len(values) ** 0.5)
    if side**2 != len(values) or not side:
        return preset("edge", K)
    drawn, kernel = np.reshape(values, (side, side)), np.zeros((K, K))
    shift = (K - side) // 2
    for i, j in np.ndindex(side, side):
        if 0 <= i + shift < K and 0 <= j + shift < K:
            kernel[i + shift, j + shift] = drawn[i, j]
    return kernel


def see(choice: Choice, house: House) -> tuple[Tensor, Edges]:
    """The input as the kernel sees it, float64 (C_in, H, W), and the zeros around it.

    A kernel of one channel sees the grey picture, 0 … 1; a trained filter sees red, green and blue,
    normalised as the network's card says.
    """
    pixels = house.shelf.pixels(choice.picture, choice.size)
    if choice.card is not None:
        values = (pixels / 255.0 - np.array(choice.card.mean)) / np.array(choice.card.std)
        x = torch.from_numpy(values).permute(2, 0, 1)
    else:
        x = torch.from_numpy(np.asarray(Image.fromarray(pixels).convert("L"), np.float64) / 255)[None]
    both = (choice.K, choice.K), (choice.stride,) * 2
    return x, edges((choice.size, choice.size), *both, choice.padding, (choice.dilation,) * 2)


def convolve(choice: Choice, x: Tensor) -> Tensor:
    """The output feature map (H_out, W_out), by the engine."""
    y = ops.conv2d(
        x[None],
        choice.weight[None],
        stride=choice.stride,
        padding=choice.padding,
        dilation=choice.dilation,
        engine="native",
    )
    return y[0, 0]


def compute(form: Form, house: House, texts: Texts) -> dict[str, Any]:
    """Convolve, and write out one pixel."""
    choice = read(form, house)
    x, sides = see(choice, house)
    (top, bottom), _ = sides
    covered = span(choice.K, choice.dilation)
    if choice.size + top + bottom < covered:
        raise FieldError("k", "too_wide", covered=covered, room=choice.size + top + bottom)
    out = convolve(choice, x)
    y = min(form.whole("y", 12, 0, 4096), out.shape[0] - 1)
    across = min(form.whole("x", 12, 0, 4096), out.shape[1] - 1)
    return {
        "choice": choice,
        "kernels": KERNELS,
        "LARGEST_K": LARGEST_K,
        "edges": sides,
        "covered": covered,
        "H_out": ops.output_size(choice.size, choice.K, choice.stride, choice.padding, choice.dilation),
        "rows": out.shape[0],
        "columns": out.shape[1],
        "largest": out.abs().max().item(),
        "weight_largest": choice.weight.abs().max().item(),
        "input_picture": _input_picture(house, choice),
        "output_picture": drawing.signed(out.numpy()),
        "y": y,
        "x": across,
        "pixel": write_out(choice, x, sides, out, y, across),
    }


def _input_picture(house: House, choice: Choice) -> str:
    return _picture(house.shelf.pixels(choice.picture, choice.size).tobytes(), choice.size, choice.kernel)


@lru_cache(maxsize=32)
def _picture(pixels: bytes, size: int, kernel: str) -> str:
    image = Image.frombytes("RGB", (size, size), pixels)
    return drawing.photo(image if kernel == "trained" else image.convert("L"))


def write_out(choice: Choice, x: Tensor, sides: Edges, out: Tensor, y: int, across: int) -> dict[str, Any]:
    """The patch under the window at output (y, x), the kernel, their products, the sum, and the engine's."""
    (top, bottom), (left, right) = sides
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    rows = [y * choice.stride + i * choice.dilation for i in range(choice.K)]
    columns = [across * choice.stride + j * choice.dilation for j in range(choice.K)]
    patch = padded[:, rows][:, :, columns]
    products = patch * choice.weight
    total = sum(products.flatten().tolist())
    return {
        "taps": [(row - top, column - left) for row in rows for column in columns],
        "patch": patch.tolist(),
        "weight": choice.weight.tolist(),
        "products": products.tolist(),
        "terms": list(zip(patch.flatten().tolist(), choice.weight.flatten().tolist(), strict=True)),
        "largest": products.abs().max().item(),
        "patch_largest": patch.abs().max().item(),
        "sum": total,
        "engine": out[y, across].item(),
        "difference": abs(total - out[y, across].item()),
    }


PAGE = Page("convolution", compute)
