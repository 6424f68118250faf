"""`plusx bench train`: whole training steps of a network, ours and in the usual style of PyTorch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from plusx import ops
from plusx.bench.breakdown import breakdown
from plusx.bench.memory import peak_memory
from plusx.bench.timing import alternate, spread, timed
from plusx.device import keep_memory, resolve_precision
from plusx.models import create_model

NETWORKS = {"fast": (1000, 32), "resnet20": (128, 32), "resnet18": (32, 224), "resnet50": (16, 224)}
"""Pictures a step and their size."""
CIFAR_EPOCH = 50_000
OURS = "plusx"


@dataclass(frozen=True)
class Way:
    """How a step is computed."""

    engine: str
    layout: torch.memory_format
    precision: torch.dtype


def ways() -> dict[str, Way]:
    """Ours, and what is set beside it.

    Ours is the default: channels-last, each operation by its faster engine, bfloat16 where the processor has
    it; and then float32 too, where convolutions have a faster form. Beside it the same layers by PyTorch's
    kernels: float32 in contiguous memory, as commonly published, and the precision and layout that ours has.
    """
    best = resolve_precision("auto", torch.device("cpu"))
    whole = {"plusx, float32": Way("auto", torch.channels_last, torch.float32)}
    return {
        OURS: Way("auto", torch.channels_last, best),
        **({} if best == torch.float32 else whole),
        "plusx, handmade only": Way("handmade", torch.channels_last, best),
        "PyTorch, contiguous float32": Way("native", torch.contiguous_format, torch.float32),
        f"PyTorch, channels-last {_name(best)}": Way("native", torch.channels_last, best),
    }


def bench_steps(
    networks: tuple[str, ...] = tuple(NETWORKS),
    rounds: int = 3,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Time forward, loss and backward of each network on random pictures, and measure their memory.

    Returns:
        `rows`: one for each network and way, with pictures a second, seconds for 50 000 pictures, the most
        memory that a step takes on top of the network and its pictures, and `breakdown`, the step's seconds
        by kind of operation.
    """
    keep_memory()
    sides, rows = ways(), []
    for name in networks:
        say(name)
        N, size = NETWORKS[name]
        steps = {key: training_step(name, N, size, way) for key, way in sides.items()}
        times = alternate({key: partial(timed, step) for key, step in steps.items()}, rounds)
        say(f"{name}, where the time goes")
        parts = breakdown(steps, rounds)
        for key, seconds in times.items():
            say(f"{name}, memory, {key}")
            s = spread(seconds)
            rows.append(
                {
                    "network": name,
                    "way": key,
                    "pictures": N,
                    "size": size,
                    "seconds": [round(v, 4) for v in s],
                    "images_per_second": round(N / s.median, 1),
                    "seconds_per_50000": round(CIFAR_EPOCH * s.median / N, 1),
                    "breakdown": {kind: round(share * s.median, 4) for kind, share in parts[key].items()},
                    "peak_memory_bytes": step_memory(name, N, size, sides[key]),
                }
            )
    return {"threads": torch.get_num_threads(), "precision": _name(sides[OURS].precision), "rows": rows}


def training_step(name: str, N: int, size: int, way: Way) -> Callable[[], None]:
    """Forward, loss and backward of a network on N random pictures of size × size pixels, to be called."""
    torch.manual_seed(0)
    model: nn.Module = create_model(name, num_classes=10).to(memory_format=way.layout)  # type: ignore[call-overload]
    pictures = torch.randn(N, 3, size, size).contiguous(memory_format=way.layout)
    labels = torch.randint(0, 10, (N,))

    def step() -> None:
        model.zero_grad()
        cast: AbstractContextManager[Any] = nullcontext()
        if way.precision != torch.float32:
            cast = torch.autocast("cpu", way.precision)
        with ops.engine(way.engine), cast:
            loss = ops.cross_entropy(model(pictures), labels)
        loss.backward()

    return step


def timed_step(name: str, N: int, size: int, way: Way) -> Callable[[], float]:
    """The same; each call gives its seconds."""
    step = training_step(name, N, size, way)
    return lambda: timed(step)


def step_memory(name: str, N: int, size: int, way: Way) -> int:
    """Bytes that the step takes at most, for what it computes and its gradients."""
    build = partial(training_step, name, size=size, way=way)
    # With an eighth of the pictures it makes the same choices of kernels, and leaves little behind.
    return peak_memory(partial(build, N), rehearse=partial(build, max(2, N // 8)))


def _name(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")
