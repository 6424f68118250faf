"""docs/scaling.md says what the committed results say, and those are what the model gives today."""

import json
from pathlib import Path

import pytest

from plusx.bench.scaling.checks import check_published
from plusx.bench.scaling.facts import FACTS
from plusx.bench.scaling.plan import curves
from plusx.bench.scaling.step import workload

DOCS = Path(__file__).parents[3] / "docs"
RESULT = json.loads((DOCS / "results/scaling/bench-scaling.json").read_text(encoding="utf-8"))
NAMES = {
    "scaling.md": {"weak": "weak", "strong": "strong", "strong, no floor": "strong, no floor"},
    "scaling.zh-CN.md": {"weak": "弱", "strong": "强", "strong, no floor": "强，无下限"},
}


def plan_table(document: str) -> list[str]:
    at = {(p["network"], p["scaling"], p["devices"]): f"{p['efficiency']:.2f}" for p in RESULT["rows"]}
    return [
        f"| {network} | {NAMES[document][scaling]} | "
        + " | ".join(at[network, scaling, devices] for devices in (8, 64, 256, 1024))
        + " |"
        for network, scaling in dict.fromkeys(key[:2] for key in at)
    ]


def published_table() -> list[str]:
    return [
        f"| {row['what']} ({row['source']}) | {row['published']:.2f} | {row['predicted']:.2f} |"
        for row in RESULT["checks"]["published"]
    ]


def steps_table() -> list[str]:
    keys = ("compute", "overlapping", "in_turn", "measured")
    return [
        f"| {row['processes']} | " + " | ".join(f"{row[key]:.2f} s" for key in keys) + " |"
        for row in RESULT["checks"]["steps"]
    ]


def test_the_committed_plan_is_what_the_model_gives() -> None:
    work = workload("resnet50")
    for now, then in (
        (curves(work), RESULT["rows"]),
        (check_published(work), RESULT["checks"]["published"]),
    ):
        for row, kept in zip(now, then, strict=True):
            names = {key for key, value in row.items() if isinstance(value, str)}
            assert [row[key] for key in names] == [kept[key] for key in names]
            numbers = row.keys() - names
            assert [row[key] for key in numbers] == pytest.approx([kept[key] for key in numbers])
    assert {name: fact.value for name, fact in FACTS.items()} == {
        name: kept["value"] for name, kept in RESULT["facts"].items()
    }


@pytest.mark.parametrize("document", NAMES)
def test_the_tables_are_those_of_the_results(document: str) -> None:
    text = (DOCS / document).read_text(encoding="utf-8")
    for table in (plan_table(document), published_table(), steps_table()):
        assert "\n".join(table) in text
