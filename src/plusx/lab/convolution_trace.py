"""Is one number of a convolution's output really the sum of products that the formula says?

A patch of a real picture, a kernel, and the 27 products written out one by one; then every output number of
the formula's loops against the library's engines; then what kernels with a name do to the picture.
"""

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from plusx import ops
from plusx.data import load
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.workbench import Workbench
from plusx.report.style import WIDTH, Theme, padded

SECTION = "卷积公式"
CLAIM = Text(
    "O[y,x,c] = Σ_i Σ_j Σ_d W[i,j,d,c] · I[y·s+i, x·s+j, d] + b[c]",
    "卷积公式：O[y,x,c] = Σ_i Σ_j Σ_d W[i,j,d,c] · I[y·s+i, x·s+j, d] + b[c]",
)
QUESTION = Text(
    "Write one output number of a real picture out as its sum, and compare all of them with every engine.",
    "把真实图片的一个输出值写成求和式，并把所有输出值与各个引擎比较。",
)
RULE = Text(
    "Holds if every output number of every engine differs from the sum by less than 10⁻¹² of the largest one, "
    "in float64; otherwise it does not hold.",
    "若在 float64 下，每个引擎的每个输出值与求和式之差都小于最大输出值的 10⁻¹²，则成立；否则不成立。",
)
PICTURE = 100
"""Of the sample's test pictures: a dog."""
AT = (12, 14)
"""Row and column of the traced output."""
NAMED = {
    "left − right (Sobel)": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "above − below (Sobel)": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
}


def terms(picture: np.ndarray, kernel: np.ndarray, y: int, x: int) -> np.ndarray:
    """The products W[i,j,d] · I[y+i, x+j, d], (K, K, C_in), of a picture (H, W, C_in) at stride 1.

    >>> float(terms(np.ones((3, 3, 1)), np.full((2, 2, 1), 0.5), 0, 1).sum())
    2.0
    """
    products = np.empty(kernel.shape)
    for i, j, d in np.ndindex(kernel.shape):
        products[i, j, d] = kernel[i, j, d] * picture[y + i, x + j, d]
    return products


def measure(bench: Workbench) -> Numbers:
    """Trace one number, compare all, filter the picture; always the same one, from inside the package."""
    picture = load("sample").test_images[PICTURE] / 255  # (H, W, 3)
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(size=(3, 3, 3, 4)).round(2), generator.normal(size=4).round(2)
    products = terms(picture, kernel[..., 0], *AT)
    formula = ops.reference.conv2d(picture, kernel, bias)  # (H_out, W_out, C_out), the lesson's loops
    x = torch.from_numpy(picture).permute(2, 0, 1)[None]
    w = torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous()
    by_engine = {e: ops.conv2d(x, w, torch.from_numpy(bias), engine=e)[0] for e in ops.ENGINES}
    scale = float(np.abs(formula).max())
    flipped = ops.conv2d(x, w.flip(2, 3), torch.from_numpy(bias))[0]

    def difference(y: torch.Tensor) -> float:
        return float(np.abs(y.permute(1, 2, 0).numpy() - formula).max()) / scale

    grey = torch.from_numpy(picture.mean(2))[None, None]
    return {
        "patch": picture[AT[0] : AT[0] + 3, AT[1] : AT[1] + 3].tolist(),
        "kernel": kernel[..., 0].tolist(),
        "products": products.tolist(),
        "bias": float(bias[0]),
        "sum": float(products.sum() + bias[0]),
        "library": {e: float(y[0, *AT]) for e, y in by_engine.items()},
        "numbers_compared": formula.size,
        "largest_difference": {e: difference(y) for e, y in by_engine.items()},
        "difference_if_flipped": difference(flipped),
        "picture": picture.tolist(),
        "responses": {
            name: ops.conv2d(grey, torch.tensor(k, dtype=torch.float64)[None, None], padding=1)[0, 0].tolist()
            for name, k in NAMED.items()
        },
    }


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    worst = max(numbers["largest_difference"].values())
    because = Text(
        "27 products and the bias add up to {sum:.12f}; the library says {library:.12f}. Of {count:,} outputs "
        "in {engines} engines none differs by more than {worst:.0e}. Nothing is flipped: with the kernel turned "
        "by 180°, as a mathematician's convolution has it, the outputs differ by up to {flipped:.0%}.",
        "27 个乘积与偏置之和为 {sum:.12f}，库的结果为 {library:.12f}。{count:,} 个输出、{engines} 个引擎，最大相对差 {worst:.0e}。"
        "卷积核没有翻转：若像数学中的卷积那样旋转 180°，输出最多相差 {flipped:.0%}。",
    ).format(
        sum=numbers["sum"],
        library=numbers["library"]["native"],
        count=numbers["numbers_compared"],
        engines=len(numbers["library"]),
        worst=worst,
        flipped=numbers["difference_if_flipped"],
    )
    return Judgement("holds" if worst < 1e-12 else "does not hold", because)


def tables(numbers: Numbers) -> list[Table]:
    """A row for each tap of the kernel: what red, green and blue contribute."""
    rows: list[tuple[str | Text, ...]] = []
    for i, row in enumerate(numbers["products"]):
        for j, products in enumerate(row):
            pixel, weight = numbers["patch"][i][j], numbers["kernel"][i][j]
            by_channel = (f"{w:+.2f} · {p:.3f}" for w, p in zip(weight, pixel, strict=True))
            rows.append((f"i={i}, j={j}", *by_channel, f"{sum(products):+.4f}"))
    rows.append((Text("bias", "偏置"), "", "", "", f"{numbers['bias']:+.4f}"))
    rows.append((Text("sum", "总和"), "", "", "", f"{numbers['sum']:+.4f}"))
    rows += [
        (Text(f"{engine} engine", f"{engine} 引擎"), "", "", "", f"{y:+.4f}")
        for engine, y in numbers["library"].items()
    ]
    title = Text(f"W · I at y={AT[0]}, x={AT[1]}, c=0", f"y={AT[0]}, x={AT[1]}, c=0 处的 W · I")
    columns = (Text("tap", "位置"), *(Text(t, t) for t in ("d=0 (R)", "d=1 (G)", "d=2 (B)")), Text("", ""))
    return [Table(title, columns, tuple(rows))]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """The picture with the traced patch, and what the named kernels make of it."""
    figure = Figure(figsize=(WIDTH, 2.2), layout=padded())
    first, *others = figure.subplots(1, 1 + len(NAMED))
    first.imshow(numbers["picture"])
    square = Rectangle((AT[1] - 0.5, AT[0] - 0.5), 3, 3, fill=False, edgecolor=theme.train, linewidth=2)
    first.add_patch(square)
    first.set_title("picture, patch", fontsize=8.5)
    for axes, (name, response) in zip(others, numbers["responses"].items(), strict=True):
        values = np.array(response)[1:-1, 1:-1]
        signed = values.min() < -0.5
        limits = (-np.abs(values).max(), np.abs(values).max()) if signed else (0, 1)
        axes.imshow(values, cmap="gray", vmin=limits[0], vmax=limits[1])
        axes.set_title(name.replace(" (", "\n("), fontsize=8.5)
    for axes in (first, *others):
        axes.set_axis_off()
    return figure
