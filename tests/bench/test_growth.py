"""How training grows: the fitted line, the rows of a small measurement, its table and its picture."""

import io
import json

import pytest
from PIL import Image
from rich.console import Console

from plusx.bench import bench_growth
from plusx.bench.growth import epoch_seconds, fit_line
from plusx.bench.show_training import draw_growth, growth_table


def test_a_line_through_noisy_points_is_found() -> None:
    x = [125, 250, 500, 1000, 2000]
    noise = [1.01, 0.99, 1.01, 0.99, 1.01]
    exact = fit_line(x, [0.07 + 4e-4 * n for n in x])
    assert (exact.fixed, exact.each) == (pytest.approx(0.07), pytest.approx(4e-4))
    noisy = fit_line(x, [(0.07 + 4e-4 * n) * factor for n, factor in zip(x, noise, strict=True)])
    assert noisy.fixed == pytest.approx(0.07, rel=0.1)
    assert noisy.each == pytest.approx(4e-4, rel=0.02)


def test_each_epoch_of_the_real_loop_is_timed() -> None:
    seconds = epoch_seconds(pictures=12, batch=4, epochs=2)
    assert len(seconds) == 2
    assert all(0 < s < 60 for s in seconds)


@pytest.fixture
def small(monkeypatch) -> dict:
    """A small measurement; the steps run, their memory is made up: half a MiB a picture or a layer."""
    monkeypatch.setattr("plusx.bench.growth.BATCHES", (2, 4, 8))
    monkeypatch.setattr("plusx.bench.growth.DEPTHS", (20, 32))
    monkeypatch.setattr("plusx.bench.growth.DEPTH_BATCH", 2)
    monkeypatch.setattr("plusx.bench.growth.PICTURES", (4, 8))
    monkeypatch.setattr("plusx.bench.growth.EPOCH_BATCH", 4)
    monkeypatch.setattr(
        "plusx.bench.growth.step_memory",
        lambda name, N, size, way: 2**19 * (N if name == "fast" else int(name.removeprefix("resnet"))),
    )
    return bench_growth(rounds=1)


def test_rows_and_lines_of_each_kind(small: dict) -> None:
    assert json.loads(json.dumps(small)) == small
    at = {name: [row[kind["x"]] for row in kind["rows"]] for name, kind in small.items()}
    assert at == {"batch": [2, 4, 8], "depth": [20, 32], "pictures": [4, 8]}
    for kind in small.values():
        for row in kind["rows"]:
            median, low, high = row["seconds"]
            assert 0 < low <= median <= high
        assert set(kind["fit"]["seconds"]) == {"fixed", "each", "largest_error"}
    for name in ("batch", "depth"):
        line = small[name]["fit"]["peak_memory_bytes"]
        assert line["each"] == pytest.approx(2**19, rel=1e-3)
        assert abs(line["fixed"]) < 1e3
        assert line["largest_error"] < 1e-3
    assert set(small["pictures"]["fit"]) == {"seconds"}


def test_the_table_and_the_picture(small: dict) -> None:
    fit = small["batch"]["fit"]
    fit["seconds"] |= {"fixed": -0.07, "each": 0.00043, "largest_error": 0.25}
    fit["peak_memory_bytes"]["fixed"] = 2.0**20
    shown = io.StringIO()
    Console(file=shown, width=120).print(growth_table(small))
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    assert "line −0.07 s + 0.43 ms a picture 1 MiB + 0.5 MiB a picture" in lines
    assert "largest distance from it 25 % 0 %" in lines
    assert any(line.startswith("a step of a CIFAR ResNet 20 layers (2 pictures) ") for line in lines)
    assert Image.open(io.BytesIO(draw_growth(small))).size == (1360, 920)
