"""`plusx bench train`: whole training steps of a network, ours and in the usual style of PyTorch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from plusx import ops
from plusx.bench.timing import alternate, spread, timed
from plusx.device import keep_memory, resolve_precision
from plusx.models import create_model

NETWORKS = {"fast": (1000, 32), "resnet20": (128, 32), "resnet18": (32, 224), "resnet50": (16, 224)}
"""Pictures a step and their size."""
CIFAR_EPOCH = 50_000


def bench_steps(
    networks: tuple[str, ...] = tuple(NETWORKS),
    rounds: int = 3,
    say: Callable[[str], None] = lambda line: None,
    only: str | None = None,
) -> dict[str, Any]:
    """Time forward, loss and backward of each network on random pictures.

    Ours is the default: channels-last, each operation by its faster engine, bfloat16 where the processor has
    it. Beside it the same layers by PyTorch's kernels: float32 in contiguous memory, as commonly published,
    and the precision and layout that ours has.

    Returns:
        `rows`: one for each network and way, with pictures a second and seconds for 50 000 pictures.
    """
    keep_memory()
    best = resolve_precision("auto", torch.device("cpu"))
    ways = {
        "plusx": ("auto", torch.channels_last, best),
        "plusx, handmade only": ("handmade", torch.channels_last, best),
        "PyTorch, contiguous float32": ("native", torch.contiguous_format, torch.float32),
        f"PyTorch, channels-last {str(best).removeprefix('torch.')}": ("native", torch.channels_last, best),
    }
    if only:
        ways = {only: ways[only]}
    rows = []
    for name in networks:
        say(name)
        N, size = NETWORKS[name]
        times = alternate({way: _timed_step(name, N, size, *how) for way, how in ways.items()}, rounds)
        for way, seconds in times.items():
            s = spread(seconds)
            rows.append(
                {
                    "network": name,
                    "way": way,
                    "pictures": N,
                    "size": size,
                    "seconds": [round(v, 4) for v in (s.median, s.low, s.high)],
                    "images_per_second": round(N / s.median, 1),
                    "seconds_per_50000": round(CIFAR_EPOCH * s.median / N, 1),
                }
            )
    return {"threads": torch.get_num_threads(), "precision": str(best).removeprefix("torch."), "rows": rows}


def training_step(
    name: str, N: int, size: int, engine: str, layout: torch.memory_format, precision: torch.dtype
) -> Callable[[], None]:
    """Forward, loss and backward of a network on N random pictures of size × size pixels, to be called."""
    torch.manual_seed(0)
    model: nn.Module = create_model(name, num_classes=10).to(memory_format=layout)  # type: ignore[call-overload]
    pictures = torch.randn(N, 3, size, size).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (N,))

    def step() -> None:
        model.zero_grad()
        cast: AbstractContextManager[Any] = nullcontext()
        if precision != torch.float32:
            cast = torch.autocast("cpu", precision)
        with ops.engine(engine), cast:
            loss = ops.cross_entropy(model(pictures), labels)
        loss.backward()

    return step


def _timed_step(
    name: str, N: int, size: int, engine: str, layout: torch.memory_format, precision: torch.dtype
) -> Callable[[], float]:
    step = training_step(name, N, size, engine, layout, precision)
    return lambda: timed(step)
