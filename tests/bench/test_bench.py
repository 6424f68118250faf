"""The benchmarks run, check what they time, and say what they found. Speed itself is not asserted."""

import json
import math
import subprocess
import sys

import pytest

from plusx.bench import bench_loading, bench_operations, bench_steps
from plusx.bench.operations import Case
from plusx.bench.show_loading import draw_loading, loading_table


def test_operations_are_checked_and_summed_up() -> None:
    result = bench_operations("normalisation", rounds=1)
    rows = result["rows"]
    assert {row["group"] for row in rows} == {"normalisation"}
    assert {(row["dtype"], row["layout"]) for row in rows} == {
        (dtype, layout) for dtype in ("float32", "bfloat16") for layout in ("channels-last", "contiguous")
    }
    assert all(row["equal"] for row in rows)
    for row in rows:
        assert row["ratio"] == pytest.approx(row["native_both_ms"][0] / row["handmade_both_ms"][0], rel=0.05)
    mean = math.prod(row["ratio"] for row in rows) ** (1 / len(rows))
    assert result["summary"]["normalisation"] == pytest.approx(mean)


def test_an_operation_that_computes_something_else_is_found_out(monkeypatch) -> None:
    wrong = Case(
        "pooling", "wrong", lambda x, engine: x * (2 if engine == "native" else 3), ((2, 3, 4, 4),), False
    )
    monkeypatch.setattr("plusx.bench.operations._pooling", lambda: [wrong])
    assert not any(row["equal"] for row in bench_operations("pooling", rounds=1)["rows"])


def test_steps_of_a_network(monkeypatch) -> None:
    monkeypatch.setattr("plusx.bench.steps.NETWORKS", {"resnet20": (4, 32)})
    result = bench_steps(("resnet20",), rounds=1)
    assert len(result["rows"]) == 4
    ours = bench_steps(("resnet20",), rounds=1, only="plusx")["rows"]
    assert [row["way"] for row in ours] == ["plusx"]
    for row in result["rows"]:
        assert row["images_per_second"] == pytest.approx(4 / row["seconds"][0], rel=0.05)


def test_reading_is_measured_each_way_and_shown(monkeypatch) -> None:
    monkeypatch.setattr("plusx.bench.loading.NETWORKS", {"resnet20": (4, 16)})
    result = bench_loading(rounds=1, pictures=30)
    ways = [row["way"] for row in result["rows"]]
    assert len(ways) == len(set(ways)) == 5
    assert all(row["pictures_per_second"][0] > 0 for row in result["rows"])
    assert 0 < result["waiting"]["resnet20"] < 1
    table = loading_table(result)
    assert table.row_count == 6
    takes, disk = (
        next(row["pictures_per_second"][0] for row in result["rows"] if row["way"] == way)
        for way in ("training takes", "shards on disk")
    )
    assert f"{disk / takes:.1f} ×" in list(table.columns[4].cells)
    assert draw_loading(result).startswith(b"\x89PNG")


def test_the_command_writes_table_json_and_picture(tmp_path) -> None:
    def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "plusx",
            "bench",
            *arguments,
            "--rounds",
            "1",
            "--out",
            str(tmp_path),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = bench("ops", "normalisation", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "bench-ops.json").read_text())
    assert (tmp_path / "bench-ops.png").read_bytes().startswith(b"\x89PNG")
    refused = bench("ops", "poling")
    assert refused.returncode == 2
    assert refused.stderr == (
        "plusx: there is no group 'poling'; choose one of: pooling, convolution, normalisation\n"
    )
    assert bench("train", "resnet1").returncode == 2
