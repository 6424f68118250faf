"""Where the time of a step goes: nothing is counted twice, nothing under a wrong name."""

import importlib
import pkgutil
import time

import pytest
import torch
from torch.profiler import ProfilerActivity, profile, record_function

import plusx.ops
from plusx.bench.breakdown import BACKWARD, GRADIENTS, KINDS, breakdown, kind_of, shares
from plusx.bench.steps import training_step, ways

ROOMS = {
    "convolution": "convolutions",
    "pooling": "pooling",
    "normalisation": "normalisation, activation, sum",
    "activation": "normalisation, activation, sum",
}


def our_functions() -> dict[str, str]:
    """The kind of each autograd function of ours, by the room that it is in."""
    for module in pkgutil.walk_packages(plusx.ops.__path__, "plusx.ops."):
        if "gpu" not in module.name:
            importlib.import_module(module.name)
    return {
        function.__name__: ROOMS.get(function.__module__.split(".")[2], "the rest")
        for function in torch.autograd.Function.__subclasses__()
        if function.__module__.startswith("plusx.ops.")
    }


def test_time_is_counted_where_it_is_spent() -> None:
    def step() -> None:
        with record_function("MaxPool"):
            time.sleep(0.2)
        with record_function(f"{BACKWARD}ConvolutionBackward0"), record_function("aten::max_pool2d"):
            time.sleep(0.4)
        time.sleep(0.2)

    parts = shares(step)
    assert sum(parts.values()) == pytest.approx(1)
    assert parts["pooling"] == pytest.approx(1 / 4, abs=0.05)
    assert parts[GRADIENTS] == pytest.approx(1 / 2, abs=0.05)
    assert parts["the rest"] == pytest.approx(1 / 4, abs=0.05)
    assert parts["convolutions"] == parts["normalisation, activation, sum"] == 0


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("network", ["fast", "resnet20"])
def test_every_operation_of_a_step_is_of_its_kind(network, way) -> None:
    step = training_step(network, 2, 32, ways()[way])
    step()
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        step()
    names = {event.name for event in watched.events() if event.cpu_parent is None}
    ours, seen = our_functions(), set()
    for name in names:
        on_the_way_back = name.startswith(BACKWARD)
        function = name.removeprefix(BACKWARD).removesuffix("Backward") if on_the_way_back else name
        if function in ours:
            seen.add(function)
            gradient = on_the_way_back and ours[function] == "convolutions"
            assert kind_of(name) == (GRADIENTS if gradient else ours[function]), name
    assert bool(seen) == ("PyTorch" not in way)
    assert {kind_of(name) for name in names} >= set(KINDS) - {"pooling"}
    left = {name for name in names if kind_of(name) == "the rest"}
    assert not [name for name in left if any(word in name.lower() for word in ("conv", "pool", "norm"))]


def test_steps_take_turns() -> None:
    x = torch.randn(4, 3, 32, 32)
    order: list[str] = []
    calls = {
        "pool": lambda: (order.append("pool"), torch.max_pool2d(x, 2)),
        "relu": lambda: (order.append("relu"), torch.relu(x)),
    }
    found = breakdown(calls, rounds=2)
    assert order[2:] == ["pool", "relu", "pool", "relu"]
    assert found["pool"]["pooling"] > 0 == found["pool"]["normalisation, activation, sum"]
    assert found["relu"]["normalisation, activation, sum"] > 0 == found["relu"]["pooling"]
