"""`plusx bench ops`: each operation by hand and by PyTorch, beside what the machine allows."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from plusx import ops
from plusx.bench.timing import CPU, alternate, copy_rate, product_rate, spread, timed
from plusx.device import keep_memory, resolve_precision

Operation = Callable[..., Tensor]
LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
ENGINES = ("handmade", "native", "auto")
"""What takes turns."""
ON_GPU = 8
"""Times as many pictures on a GPU: it computes those of the processor faster than they are asked for."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """One operation, the shapes of its differentiable inputs (the first is the picture), and its work."""

    name: str
    call: Operation
    shapes: tuple[tuple[int, ...], ...]
    exact: bool
    """Whether all engines have to give the same bits."""
    operations: float = 0.0
    """Multiplications and additions of the forward pass; the backward pass has twice as many."""


def _pooling() -> Iterator[Case]:
    pictures = {4: (500, 256), 8: (500, 256), 16: (500, 128), 32: (500, 64), 56: (64, 64), 112: (32, 64)}
    for size, (N, C) in pictures.items():
        shape = ((N, C, size, size),)
        yield Case("max 2×2/2", lambda x, engine: ops.max_pool2d(x, 2, engine=engine), shape, True)
        yield Case("max 3×3/2", lambda x, engine: ops.max_pool2d(x, 3, 2, 1, engine=engine), shape, True)
        yield Case("avg 2×2/2", lambda x, engine: ops.avg_pool2d(x, 2, engine=engine), shape, False)
        yield Case("avg 3×3/2", lambda x, engine: ops.avg_pool2d(x, 3, 2, 1, engine=engine), shape, False)
    for size, (N, C) in {4: (500, 256), 8: (500, 256), 16: (128, 512)}.items():
        shape = ((N, C, size, size),)
        yield Case("max global", lambda x, engine: ops.global_max_pool2d(x, engine=engine), shape, True)
        yield Case("avg global", lambda x, engine: ops.global_avg_pool2d(x, engine=engine), shape, False)


def _convolutions() -> Iterator[Case]:
    # fmt: off
    shapes = [
        # pictures, C_in, C_out, size, K, stride
        (500, 24, 64, 32, 3, 1), (500, 64, 64, 16, 3, 1), (500, 64, 128, 16, 3, 1), (500, 128, 128, 8, 3, 1),
        (500, 128, 256, 8, 3, 1), (500, 256, 256, 4, 3, 1), (128, 16, 16, 32, 3, 1), (16, 3, 64, 224, 7, 2),
        (16, 64, 64, 56, 3, 1), (16, 128, 128, 28, 3, 2), (16, 64, 256, 56, 1, 1), (16, 512, 512, 7, 3, 1),
    ]
    # fmt: on
    for N, C_in, C_out, size, K, s in shapes:
        out = (size - 1) // s + 1

        def call(x: Tensor, weight: Tensor, engine: str, s: int = s, K: int = K) -> Tensor:
            return ops.conv2d(x, weight, stride=s, padding=K // 2, engine=engine)

        yield Case(
            f"{K}×{K}/{s} {C_in}→{C_out}",
            call,
            ((N, C_in, size, size), (C_out, C_in, K, K)),
            False,
            2.0 * N * out * out * C_out * C_in * K * K,
        )


def _normalisations() -> Iterator[Case]:
    def relu_of_norm(x: Tensor, bias: Tensor, engine: str) -> Tensor:
        return ops.batch_norm(x, None, None, None, bias, True, activation="relu", engine=engine)

    def block_end(x: Tensor, bias: Tensor, added: Tensor, engine: str) -> Tensor:
        return ops.batch_norm(x, None, None, None, bias, True, added=added, activation="relu", engine=engine)

    for N, C, size in ((500, 64, 16), (500, 128, 8), (500, 256, 4), (32, 64, 56)):
        picture = (N, C, size, size)
        yield Case("norm + relu", relu_of_norm, (picture, (C,)), False)
        yield Case("norm + add + relu", block_end, (picture, (C,), picture), False)


GROUPS = {"pooling": _pooling, "convolution": _convolutions, "normalisation": _normalisations}


def _cases(group: str | None, device: torch.device) -> Iterator[tuple[str, Case]]:
    """What is measured, each case with its group; see `bench_operations`."""
    on_gpu = device.type != "cpu"
    groups = [name for name in GROUPS if not (on_gpu and name == "convolution")]
    for name in groups if group is None else [group]:
        for case in GROUPS[name]():
            yield name, replace(case, shapes=tuple(map(_enlarged, case.shapes))) if on_gpu else case


def _enlarged(shape: tuple[int, ...]) -> tuple[int, ...]:
    """More pictures; a bias, which has no pictures, stays."""
    return (ON_GPU * shape[0], *shape[1:]) if len(shape) == 4 else shape


def bench_operations(
    group: str | None = None,
    rounds: int = 7,
    say: Callable[[str], None] = lambda line: None,
    device: torch.device = CPU,
) -> dict[str, Any]:
    """Measure every case in every layout, in float32 and, where the processor multiplies it, in bfloat16.

    Args:
        group: "pooling", "convolution" or "normalisation"; None measures all, on a GPU all but convolution,
            which has no kernel of ours there.
        rounds: how often each competitor runs.
        say: told what is measured next.
        device: where.

    Returns:
        `rows` (one a case) and `summary`: the geometric mean of native's time over ours by group.
    """
    keep_memory()
    bandwidth = copy_rate(device)
    rates = {name: product_rate(dtype, device) for name, dtype in DTYPES.items()}
    multiplies_bfloat16 = resolve_precision("auto", device) == torch.bfloat16
    work = [
        (name, case, layout, dtype)
        for name, case in _cases(group, device)
        for layout in LAYOUTS
        for dtype in DTYPES
        # It would be emulated, a number at a time.
        if not (dtype == "bfloat16" and name == "convolution" and not multiplies_bfloat16)
    ]
    rows = []
    for number, (name, case, layout, dtype) in enumerate(work, 1):
        shape = "×".join(map(str, case.shapes[0]))
        say(f"{number} of {len(work)}: {case.name} on {shape}, {dtype}, {layout}")
        rows.append(_measure(name, case, layout, dtype, rounds, bandwidth, rates[dtype], device))
    groups = dict.fromkeys(row["group"] for row in rows)
    return {
        "copy_bytes_per_second": bandwidth,
        "operations_per_second": rates,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "rows": rows,
        "summary": {
            name: math.exp(
                sum(math.log(r["ratio"]) for r in rows if r["group"] == name)
                / sum(r["group"] == name for r in rows)
            )
            for name in groups
        },
    }


def _measure(
    group: str,
    case: Case,
    layout: str,
    dtype: str,
    rounds: int,
    bandwidth: float,
    rate: float,
    device: torch.device,
) -> dict[str, Any]:
    """Check a case's engines against each other, then time them in turn."""
    inputs = [_fresh(shape, dtype, layout, group, device) for shape in case.shapes]
    outputs = {name: case.call(*inputs, engine=name) for name in ENGINES}
    y = outputs["native"]
    grad = torch.randn_like(y)
    gradients = {name: torch.autograd.grad(out, inputs, grad) for name, out in outputs.items()}
    equal = _equal(outputs, case.exact, dtype) and all(
        _equal(dict(zip(gradients, pair, strict=True)), case.exact, dtype)
        for pair in zip(*gradients.values(), strict=True)
    )
    moved = sum(x.numel() * x.element_size() for x in inputs) + y.numel() * y.element_size()
    del outputs, gradients

    def both(engine: str) -> tuple[float, float]:
        out: list[Tensor] = []
        forward = timed(lambda: out.append(case.call(*inputs, engine=engine)), device)
        return forward, timed(lambda: torch.autograd.grad(out[0], inputs, grad), device)

    times = alternate({name: functools.partial(both, name) for name in ENGINES}, rounds)
    row: dict[str, Any] = {
        "group": group,
        "name": case.name,
        "shape": list(case.shapes[0]),
        "dtype": dtype,
        "layout": layout,
        "equal": equal,
        # Backward reads as much as forward wrote and writes as much as it read.
        "floor_ms": 1e3 * max(2 * moved / bandwidth, 3 * case.operations / rate),
    }
    totals = {}
    for name, pairs in times.items():
        for what, seconds in (
            ("forward", [p[0] for p in pairs]),
            ("backward", [p[1] for p in pairs]),
            ("both", [sum(p) for p in pairs]),
        ):
            row[f"{name}_{what}_ms"] = [round(1e3 * v, 3) for v in spread(seconds)]
        totals[name] = spread([sum(p) for p in pairs]).median
    row["ratio"] = totals["native"] / totals["handmade"]
    row["auto_ratio"] = totals["native"] / totals["auto"]
    return row


def _fresh(shape: tuple[int, ...], dtype: str, layout: str, group: str, device: torch.device) -> Tensor:
    x = torch.randn(shape, device=device)
    if len(shape) == 4:
        x = x.contiguous(memory_format=LAYOUTS[layout])
    # Normalisation keeps its bias in float32, as networks do.
    return (x if len(shape) == 1 and group == "normalisation" else x.to(DTYPES[dtype])).requires_grad_()


def _equal(results: dict[str, Tensor], exact: bool, dtype: str) -> bool:
    """The same bits; or the same but for rounding, which near 0 may also change what a rectifier decides."""
    native = results["native"].detach()
    allowed = (1e-2 if dtype == "float32" else 1e-1) * native.double().norm()
    return all(
        torch.equal(other, native) if exact else bool((other.double() - native.double()).norm() <= allowed)
        for other in (results["handmade"].detach(), results["auto"].detach())
    )
