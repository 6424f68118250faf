"""The benchmarks run, check what they time, and say what they found. Speed itself is not asserted."""

import itertools
import json
import math
import subprocess
import sys
from collections import Counter

import pytest
import torch
from typer.testing import CliRunner

from plusx.bench import bench_loading, bench_operations, bench_steps
from plusx.bench.breakdown import KINDS
from plusx.bench.operations import GROUPS, Case
from plusx.bench.show import draw_steps, steps_table
from plusx.bench.show_loading import draw_loading, loading_table
from plusx.bench.steps import step_memory, ways
from plusx.bench.timing import alternate
from plusx.commands import bench


def test_operations_are_checked_and_summed_up() -> None:
    said: list[str] = []
    result = bench_operations("normalisation", rounds=1, say=said.append)
    assert said[-1].startswith(f"{len(said)} of {len(said)}: ")
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
    wrong = Case("wrong", lambda x, engine: x * (2 if engine == "native" else 3), ((2, 3, 4, 4),), False)
    monkeypatch.setitem(GROUPS, "pooling", lambda: [wrong])
    assert not any(row["equal"] for row in bench_operations("pooling", rounds=1)["rows"])


@pytest.mark.parametrize("best", [torch.bfloat16, torch.float32])
def test_steps_of_a_network(best, monkeypatch) -> None:
    monkeypatch.setattr("plusx.bench.steps.resolve_precision", lambda name, device: best)
    monkeypatch.setattr("plusx.bench.steps.NETWORKS", {"resnet20": (4, 32)})
    monkeypatch.setattr("plusx.bench.steps.peak_memory", lambda build, rehearse: 3 * 2**20)
    result = bench_steps(("resnet20",), rounds=1)
    assert len(result["rows"]) == len(ways())
    for row in result["rows"]:
        assert row["images_per_second"] == pytest.approx(4 / row["seconds"][0], rel=0.05, abs=0.06)
        assert sum(row["breakdown"].values()) == pytest.approx(row["seconds"][0], abs=5e-4)
        assert all(seconds > 0 for kind, seconds in row["breakdown"].items() if kind != "pooling")
    assert list(steps_table(result).columns[6].cells) == ["3 MiB"] * len(ways())
    assert draw_steps(result).startswith(b"\x89PNG")


@pytest.mark.parametrize(("best", "float32_too"), [(torch.bfloat16, True), (torch.float32, False)])
def test_float32_is_measured_too_where_bfloat16_is_the_default(best, float32_too, monkeypatch) -> None:
    monkeypatch.setattr("plusx.bench.steps.resolve_precision", lambda name, device: best)
    assert ("plusx, float32" in ways()) == float32_too
    assert len(ways()) == 4 + float32_too
    assert ways()["plusx"].precision == best


def test_the_memory_of_a_step_is_that_of_its_pictures() -> None:
    memory = step_memory("resnet20", 128, 32, ways()["plusx"])
    # Convolutions keep their inputs: 7 maps of 2 million numbers, 6 of 1 and 5 of ½ million, 2 bytes each at
    # least, which is 45 MiB; the norms keep theirs too, and the gradients come on top.
    assert 44 < memory / 2**20 < 400


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
    refused = bench("train", "fast", "--runs", str(tmp_path))
    assert refused.returncode == 2
    assert refused.stderr == (
        f"plusx: {tmp_path}/recipe.toml can't be read (No such file or directory); give the directory of a "
        "finished run\n"
    )


def test_no_competitor_always_follows_the_same_one() -> None:
    order: list[str] = []
    alternate({name: lambda name=name: order.append(name) for name in "abc"}, rounds=12)
    followed = Counter(itertools.pairwise(order[3:]))
    for a, b in itertools.permutations("abc", 2):
        assert 4 <= followed[a, b] <= 8  # six of 36 each, if chance decided


def test_a_result_is_kept_even_if_its_picture_fails(tmp_path, monkeypatch) -> None:
    def fail(result: dict) -> bytes:
        raise RuntimeError("no font")

    monkeypatch.setattr("plusx.bench.operations.bench_operations", lambda *_: {"rows": [], "summary": {}})
    monkeypatch.setattr("plusx.bench.show.draw_operations", fail)
    done = CliRunner().invoke(bench.app, ["ops", "--out", str(tmp_path)])
    assert isinstance(done.exception, RuntimeError)
    assert json.loads((tmp_path / "bench-ops.json").read_text()) == {"rows": [], "summary": {}}


def test_growth_is_measured_unless_networks_are_named(tmp_path, monkeypatch, finished_run) -> None:
    row = {"network": "fast", "way": "plusx", "pictures": 4, "size": 32, "seconds": [0.1, 0.1, 0.1]}
    row |= {"images_per_second": 40.0, "seconds_per_50000": 1250.0, "peak_memory_bytes": 2**20}
    row |= {"breakdown": dict.fromkeys(KINDS, 0.02)}
    fit = {"seconds": {"fixed": 0.0, "each": 0.1, "largest_error": 0.0}}
    kind = {"network": "fast", "batch": 4, "x": "pictures", "fit": fit}
    kind["rows"] = [{"pictures": 1, "seconds": [0.1, 0.1, 0.1]}]
    growth = dict.fromkeys(("batch", "depth", "pictures"), kind)
    monkeypatch.setattr("plusx.bench.steps.bench_steps", lambda names, rounds, say: {"rows": [row]})
    monkeypatch.setattr("plusx.bench.growth.bench_growth", lambda rounds, say: growth)

    def train(*arguments: str) -> dict:
        done = CliRunner().invoke(bench.app, ["train", *arguments, "--json", "--out", str(tmp_path)])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == json.loads((tmp_path / "bench-train.json").read_text())
        return json.loads(done.stdout)

    assert set(train("fast")) == {"rows"}
    assert not (tmp_path / "bench-growth.png").exists()
    assert set(train("--no-growth")) == {"rows"}
    assert set(train("fast", "--growth")) == {"rows", "growth"}
    assert set(train("--runs", str(finished_run("one", 0.91)))) == {"rows", "growth", "time_to"}
    for picture in ("train", "breakdown", "growth"):
        assert (tmp_path / f"bench-{picture}.png").read_bytes().startswith(b"\x89PNG")
