"""`plusx bench scaling`: its JSON, its tables and its picture; the measurements are stood in for."""

import io
import json

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from plusx.bench.scaling import bench_scaling
from plusx.bench.scaling.show import draw_scaling, scaling_tables
from plusx.commands import bench


@pytest.fixture
def result(monkeypatch) -> dict:
    def processes(p: int, rounds: int) -> dict:
        return {"processes": p, "all_reduce": [[4096, 1e-4], [10**8, 0.1]], "alone": [0.1, 0.2], "step": 0.4}

    monkeypatch.setattr("plusx.bench.scaling.measure_processes", processes)
    monkeypatch.setattr("plusx.bench.scaling.decode_rate", lambda: {"pictures_per_second": 200.0, "bytes": 1})
    monkeypatch.setattr("plusx.bench.scaling.timed_step", lambda name, N, size, way: lambda: N / 5)
    return bench_scaling(rounds=1)


def test_the_result_is_json_with_inputs_points_limits_and_checks(result: dict) -> None:
    assert json.loads(json.dumps(result)) == result | {"workload": json.loads(json.dumps(result["workload"]))}
    assert set(result) == {
        *("machine", "facts", "measured", "workload", "rows", "cpu", "reach", "useful", "input", "checks"),
    }
    assert set(result["checks"]) == {"all_reduces", "steps", "published"}
    assert len(result["rows"]) == 3 * 3 * 11
    assert all({"value", "unit", "source", "kind"} == set(fact) for fact in result["facts"].values())
    assert result["input"]["cores"] == 8 * 2470 / 200


def test_tables_and_picture(result: dict) -> None:
    shown = io.StringIO()
    Console(file=shown, width=120).print(scaling_tables(result))
    text = shown.getvalue()
    assert "1,024 GPUs" in text
    assert "8 to 256 P100 (Goyal et al.)" in text
    assert "0.400 s" in text
    assert Image.open(io.BytesIO(draw_scaling(result))).size == (1360, 1680)


def test_the_command_writes_what_it_prints(result: dict, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("plusx.bench.scaling.bench_scaling", lambda rounds, say: result)
    done = CliRunner().invoke(bench.app, ["scaling", "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == json.loads((tmp_path / "bench-scaling.json").read_text())
    assert (tmp_path / "bench-scaling.png").read_bytes().startswith(b"\x89PNG")
