"""Every verdict that a rule can give, on the published numbers with one or two of them changed."""

import copy
import importlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from plusx.lab import EXPERIMENTS
from plusx.lab.runner import show

PUBLISHED = Path(__file__).parents[2] / "docs" / "results" / "lab"
FULLY, CONV = "fully connected layer", "convolution 3×3, 64 kernels"
YES, PARTLY, NO = "holds", "holds with conditions", "does not hold"


def published(name: str) -> dict[str, Any]:
    return json.loads((PUBLISHED / name / "result.json").read_text(encoding="utf-8"))


def changed(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The published numbers, those at the paths with slashes replaced."""
    numbers = copy.deepcopy(published(name)["numbers"])
    for path, value in changes.items():
        *way, last = path.split("/")
        place = numbers
        for key in way:
            place = place[key]
        assert last in place
        place[last] = value
    return numbers


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_published_is_what_the_rule_says(name: str) -> None:
    experiment, result = EXPERIMENTS[name], published(name)
    verdict, because = experiment.judge(result["numbers"])
    assert (result["verdict"], result["because"]) == (verdict, because._asdict())
    assert result["claim"] == experiment.CLAIM._asdict()
    assert result["question"] == experiment.QUESTION._asdict()
    assert result["rule"] == experiment.RULE._asdict()


@pytest.mark.parametrize("quick", [True, False])
def test_a_quick_run_shows_no_verdict(quick: bool, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    show(published("stride") | {"quick": quick}, [], tmp_path, console, "en")
    said = console.file.getvalue()
    assert ("no verdict (quick)" in said) == quick
    assert ("holds: Accuracy at stride" in said) != quick


# Names of networks, blocks and engines.
NAMES = "plain|resnet|reference|handmade|native|BasicBlock|Bottleneck|ResNet|ReLU|Valid|Same"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_row_is_called_in_chinese_on_the_chinese_page(name: str) -> None:
    for table in EXPERIMENTS[name].tables(published(name)["numbers"]):
        for row in table.cells("zh"):
            assert re.findall("[a-z]{3,}", re.sub(NAMES, "", row[0])) == []


def test_publishing_draws_every_picture_from_its_numbers(tmp_path: Path, monkeypatch) -> None:
    publish = importlib.import_module("publish_lab")
    (tmp_path / "stride").mkdir()
    shutil.copy(PUBLISHED / "stride" / "result.json", tmp_path / "stride")
    (tmp_path / "stride" / "figure.png").write_bytes(b"an old one")
    monkeypatch.setattr(publish, "TARGET", tmp_path)
    publish.reword()
    assert (tmp_path / "stride" / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "stride" / "result.json").read_bytes() == (
        PUBLISHED / "stride" / "result.json"
    ).read_bytes()


CASES: list[tuple[str, dict[str, Any], str]] = [
    ("parameters", {}, PARTLY),
    ("parameters", {f"layers/{CONV}/multiply_adds": 1_728}, YES),
    ("parameters", {f"layers/{CONV}/parameters": 1_729}, NO),
    ("parameters", {f"layers/{FULLY}/parameters": 150_528_001}, NO),
    ("spatial-structure", {}, YES),
    ("spatial-structure", {"fully connected/shuffled": [0.55, 0.55, 0.55]}, NO),
    ("spatial-structure", {"convolutional/shuffled": [0.65, 0.65, 0.65]}, NO),
    ("translation", {}, PARTLY),
    ("translation", {"accuracy/CNN, max and global pooling": [[0.7] * 9]}, YES),
    ("translation", {"accuracy/CNN, strides": [[0.7] + [0.3] * 8]}, NO),
    ("convolution-trace", {}, YES),
    ("convolution-trace", {"largest_difference/native": 1e-11}, NO),
    ("output-size", {}, PARTLY),
    ("output-size", {"same_keeps_the_size_at_stride": dict.fromkeys("1234", True)}, YES),
    ("output-size", {"same_keeps_the_size_at_stride/1": False}, NO),
    ("output-size", {"wrong": [["convolution", "native", 8, 3, 1, 0]]}, NO),
    ("padding", {}, PARTLY),
    ("padding", {"accuracy/valid": [0.6, 0.6]}, YES),
    ("padding", {"sides/valid": [32, 31, 29]}, NO),
    ("padding", {"sides/same": [32, 31]}, NO),
    ("stride", {}, YES),
    ("stride", {"4/accuracy": [0.59, 0.59]}, PARTLY),
    ("stride", {"4/accuracy": [0.59, 0.59], "8/accuracy": [0.59, 0.59]}, NO),
    ("stride", {"8/accuracy": [0.9, 0.9]}, NO),
    ("receptive-field", {}, YES),
    ("receptive-field", {"parts/two 3×3/accuracy": [0.6, 0.6]}, PARTLY),
    ("receptive-field", {"parts/5×5/accuracy": [0.9, 0.9], "parts/7×7/accuracy": [0.9, 0.9]}, NO),
    ("receptive-field", {"fields/5×5/measured": 4}, NO),
    ("pooling", {}, PARTLY),
    ("pooling", {"heads/global average/test": [0.79, 0.79]}, YES),
    ("pooling", {"ways/max/accuracy": [0.1, 0.1]}, NO),
    ("pooling", {"example/native": [[9, 8], [6, 8]]}, NO),
    ("gradient-flow", {}, PARTLY),
    ("gradient-flow", {f"start/batch norm/plain{d}": [1e-9, 1.0] for d in (56, 110)}, YES),
    ("gradient-flow", {"start/batch norm/plain56": [1e-9, 1.0]}, PARTLY),
    ("gradient-flow", {"start/no norm, weights × 0.7/plain110": [1.0, 1.0]}, NO),
    ("degradation", {}, YES),
    ("degradation", {"resnet56/final_test_error": [0.2, 0.2]}, PARTLY),
    ("degradation", {"plain56/final_train_error": [0.3, 0.01]}, NO),
    ("small-residuals", {}, YES),
    ("small-residuals", {"resnet56/after": [{"ratio": 0.6, "identity": True}]}, PARTLY),
    ("small-residuals", {"resnet20/after": [{"ratio": 0.2, "identity": True}]}, PARTLY),
    ("small-residuals", {"resnet56/after": [{"ratio": 0.9, "identity": True}]}, NO),
    ("identity-path", {}, PARTLY),
    ("identity-path", {"share_cut_by_relu": 0.0}, YES),
    ("identity-path", {"before_relu": 1e-5}, NO),
    ("identity-path", {"silent_before_relu": 1e-5}, NO),
    ("variants", {}, YES),
    ("variants", {"50/layers": 49}, NO),
]


@pytest.mark.parametrize(("name", "changes", "verdict"), CASES)
def test_a_rule_gives_each_of_its_verdicts(name: str, changes: dict[str, Any], verdict: str) -> None:
    assert EXPERIMENTS[name].judge(changed(name, changes)).verdict == verdict


@pytest.mark.parametrize(
    ("name", "changes", "english", "chinese"),
    [
        ("output-size", {"wrong": [["convolution", "native", 1, 3, 1, 0]]},
         "4,968 of 4,968 sizes are the formula's; 863 of 864 impossible ones were refused",
         "864 个不可能的尺寸中有 863 个被拒绝"),
        ("output-size", {"wrong": [["convolution", "native", 8, 3, 1, 0]]},
         "4,967 of 4,968 sizes are the formula's; 864 of 864 impossible ones were refused",
         "864 个不可能的尺寸中有 864 个被拒绝"),
        ("padding", {}, "71.63 % without padding and 69.98 % with it, +1.65 points", "相差 +1.65 个百分点"),
        ("pooling", {}, "Not met: the global head loses 5.3 points, where 1 is allowed.",
         "低 5.3 个百分点，规则只允许 1 个"),
        ("pooling", {}, "Accuracy with max 64.0 %, average", "准确率：最大池化 64.0 %、平均池化"),
        ("pooling", {"ways/max/accuracy": [0.1, 0.1]},
         "Not met: max pooling is not the most accurate way; the",
         "未满足：最大池化不是最准确的方式；"),
        ("pooling", {"heads/global average/test": [0.79, 0.79]}, "(19.1 below).", "（低 19.1）。"),
        ("degradation", {}, "plain-56 was still falling (test", "plain-56 的误差还在下降"),
        ("degradation", {"plain56/test_error": [[0.4, 0.35, 0.345]]}, "11.3 %.", "11.3 %。"),
        ("receptive-field", {},
         "('as many' to 2.2 %). So a 3×3 stack is at least as good as one large kernel",
         "3×3 的堆叠不差于相同感受野的单个大卷积核"),
        ("receptive-field", {"parts/two 3×3/accuracy": [0.6, 0.6]},
         "('as many' to 2.2 %). ", "不超过 2.2 %）。"),
        ("output-size", {"same_at_stride_2/7": 3, "same_keeps_the_size_at_stride/3": True},
         "'same' keeps the size at 1, 3; at stride 2 it makes 7 → 3, 8 → 4.", "步长为 2 时 7 → 3, 8 → 4。"),
        ("identity-path", {},
         "and of 0 % of inputs that are all positive. Through", "而对全为正数的输入截断 0 %。"),
        ("identity-path", {}, "50 % of 48,000 random inputs",
         "48,000 个随机输入中，相加之后的 ReLU 截断了 50 % 的梯度"),
        ("identity-path", {}, "With F × 1 it has 110 of its size", "F × 1 时，有捷径的变为 110 倍"),
        ("small-residuals", {}, "training hardly changes the median", "训练几乎没有改变这个中位数"),
        ("small-residuals", {"resnet56/before": [{"ratio": 0.9, "identity": True}]},
         "0.90. A block of the plain 56-layer network moves", "0.90。56 层传统网络的块"),
        ("receptive-field", {"fields/5×5/measured": 4},
         "7 of 8 measured fields equal the computed ones.", "8 个实测感受野中有 7 个与计算值相同。"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_was_measured(
    name: str, changes: dict[str, Any], english: str, chinese: str
) -> None:
    because = EXPERIMENTS[name].judge(changed(name, changes)).because
    assert english in because.en
    assert chinese in because.zh


def test_the_heads_table_says_the_epochs_that_were_trained() -> None:
    numbers = published("pooling")["numbers"]
    numbers["heads"]["global average"]["epochs"] = 2
    assert EXPERIMENTS["pooling"].tables(numbers)[1].title.en == "two heads, 2 epochs"


def test_what_was_measured_is_what_the_sentences_say() -> None:
    moved = EXPERIMENTS["translation"].judge(changed("translation", {"equivariance/stride 1": 2e-15})).because
    assert "A convolution moves with its input, 2e-15 off, but" in moved.en
    assert "卷积的输出随输入平移，相差 2e-15，但" in moved.zh
    counted = EXPERIMENTS["variants"].judge(changed("variants", {"152/on_shortcuts": 5})).because
    assert "the 3 or 5 projections" in counted.en
    assert "3 或 5 个投影层" in counted.zh
