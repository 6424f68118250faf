"""The exercises: a right answer passes, a wrong one is told precisely what is wrong, and nothing of it is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from plusx import UserError
from plusx.lab.exercises import EXERCISES, check, report, solution, template

DOCS = Path(__file__).parents[2] / "docs" / "homework"


def hints(name: str, text: str, folder: Path) -> str:
    file = folder / f"{name}_exercise.py"
    file.write_text(text, encoding="utf-8")
    return "\n".join(hint.en for _, hint in check(name, file) if hint is not None)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_right(name: str, tmp_path: Path) -> None:
    assert hints(name, solution(name), tmp_path) == ""
    assert [p.name for p in tmp_path.iterdir()] == [f"{name}_exercise.py"]


@pytest.mark.parametrize("name", EXERCISES)
def test_a_template_has_holes_everywhere(name: str, tmp_path: Path) -> None:
    said = hints(name, template(name), tmp_path).splitlines()
    assert said
    assert set(said) == {"not written yet"}


# (exercise, what the solution says, what a student writes instead, what the hint has to name)
MISTAKES = [
    ("pooling", "(H + 2 * P - K) // s + 1, (W + 2 * P - K) // s + 1", "(H + 2 * P - K) // s, (W + 2 * P - K) // s", "mind the + 1"),
    ("pooling", "-torch.inf", "0.0", "count as −∞"),
    ("pooling", "key=lambda place: float(x[n, c, place[0], place[1]])", "key=lambda place: (float(x[n, c, place[0], place[1]]), place)", "last of the largest"),
    ("pooling", "dx[n, c, i, j] += grad", "dx[n, c, i, j] = grad", "added, not replaced"),
    ("pooling", "count = K * K if count_include_pad else window.shape[2] * window.shape[3]\n            y[", "count = window.shape[2] * window.shape[3]\n            y[", "divided by K²"),
    ("pooling", "count = K * K if count_include_pad else window.shape[2] * window.shape[3]\n            y[", "count = K * K\n            y[", "pixels of the picture in the window"),
    ("pooling", "window += grad[:, :, p, q, None, None] / count", "window += grad[:, :, p, q, None, None]", "whole gradient"),
    ("pooling", "                    i, j = max(places, key=lambda place: float(x[n, c, place[0], place[1]]))\n                    dx[n, c, i, j] += grad[n, c, p, q]",
     "                    best = max(float(x[n, c, i, j]) for i, j in places)\n                    for i, j in places:\n                        dx[n, c, i, j] += grad[n, c, p, q] * (float(x[n, c, i, j]) == best)", "every pixel that is the largest"),
    ("conv", "return (H + 2 * P - K) // s + 1", "return (H + 2 * P - K) // s", "mind the + 1"),
    ("conv", "return (H + 2 * P - K) // s + 1", "return (H + P - K) // s + 1", "2P"),
    ("conv", "(patch * w).sum((2, 3, 4)) + b", "(patch * w).sum((2, 3, 4))", "bias is forgotten"),
    ("conv", "(patch * w).sum((2, 3, 4)) + b", "(patch * w.flip(2, 3)).sum((2, 3, 4)) + b", "flipped"),
    ("conv", "grad.sum((0, 2, 3))", "grad.mean((0, 2, 3))", "∂L/∂b is the mean"),
    ("conv", "return dpadded[:, :, P : P + H, P : P + W], dw", "return dpadded, dw", "still has the padding"),
    ("block", "(self.bn2(self.conv2(y)) + shortcut).relu()", "self.bn2(self.conv2(y)).relu()", "shortcut is missing"),
    ("block", "(self.bn2(self.conv2(y)) + shortcut).relu()", "self.bn2(self.conv2(y)).relu() + shortcut", "after the addition"),
    ("block", "(self.bn3(self.conv3(y)) + shortcut).relu()", "self.bn3(self.conv3(y)) + shortcut", "last relu"),
    ("block", "y = self.bn1(self.conv1(x)).relu()\n        return", "y = self.bn1(self.conv1(x))\n        return", "missing inside F"),
    ("block", "channels, 1, bias=False)\n        self.bn1 = nn.BatchNorm2d(channels)\n        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1", "channels, 1, stride, bias=False)\n        self.bn1 = nn.BatchNorm2d(channels)\n        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1", "the stride belongs to conv2"),
    ("block", "self.bn1 = ", "self.norm1 = ", "names don't fit"),
    ("block", "x if self.downsample is None else self.downsample(x)", "x", "downsample is not used"),
    ("conv", "w, grad.sum((0, 2, 3))", "w", "should be 3 tensors as a tuple, not 2"),
    ("conv", "return dpadded[:, :, P : P + H, P : P + W], dw, grad.sum((0, 2, 3))", "return grad.sum((0, 2, 3))", "should be 3 tensors as a tuple, not a Tensor"),
    ("conv", "return (H + 2 * P - K) // s + 1", "return str((H + 2 * P - K) // s + 1)", "should be an int, not a str"),
    ("block", "channels, 3, stride, padding=1, bias=False)\n        self.bn1", "channels, 3, 2, padding=1, bias=False)\n        self.bn1", "where `stride` is 1, every convolution's stride has to be 1"),
    ("conv", "W + 2 * P, dtype=x.dtype)", "W + 2 * P)", "pass dtype=x.dtype"),
    ("conv", "    return y\n", "    y[0, 0, 0, 0] += 1\n    return y\n", "1 of 96 numbers are wrong"),
    ("resnet", "self.bn1(self.conv1(x)).relu()\n", "self.bn1(self.conv1(x).relu())\n", "numbers are wrong"),
    ("resnet", "self.maxpool(self.bn1(self.conv1(x)).relu())", "self.maxpool(self.bn1(self.conv1(x).relu()))", "after its norm, not before it"),
    ("resnet", "self.maxpool(self.bn1(self.conv1(x)).relu())", "self.maxpool(self.bn1(self.conv1(x)))", "a relu is missing after bn1"),
    ("resnet", "(self.bn2(self.conv2(y)) + shortcut).relu()", "self.bn2(self.conv2(y)).relu()", "in the blocks, shortcut is missing"),
    ("resnet", "(self.bn2(self.conv2(y)) + shortcut).relu()", "self.bn2(self.conv2(y)) + shortcut", "in the blocks, last relu is missing"),
    ("resnet", "return self.fc(x.mean((2, 3)))", "return self.fc(x.mean((2, 3))).softmax(1)", "without softmax"),
    ("resnet", "return self.fc(x.mean((2, 3)))", "return self.fc(x.amax((2, 3)))", "global pooling takes the mean"),
    ("resnet", "nn.MaxPool2d(3, stride=2, padding=1)", "nn.MaxPool2d(2)", "max pooling is 3×3"),
    ("resnet", "stride=1 if number == 1 else 2", "stride=2", "names don't fit"),
    ("resnet", "self.maxpool(self.bn1(self.conv1(x)).relu())", "self.bn1(self.conv1(x)).relu()", "max pooling before it"),
    ("resnet", "(2, 2, 2, 2)", "(2, 2, 2, 3)", "names don't fit"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "right", "wrong", "says"), MISTAKES, ids=[f"{m[0]}-{m[3]}" for m in MISTAKES]
)
def test_a_mistake_is_named(name: str, right: str, wrong: str, says: str, tmp_path: Path) -> None:
    text = solution(name)
    assert right in text
    assert says in hints(name, text.replace(right, wrong), tmp_path)


def test_the_page_shows_what_a_student_reads(tmp_path: Path) -> None:
    text = solution("block").replace("(self.bn2(self.conv2(y)) + shortcut)", "self.bn2(self.conv2(y))")
    text = text.replace(
        "channels, 1, bias=False)\n        self.bn1", "channels, 1, stride, bias=False)\n        self.bn1"
    )
    text = text.replace(
        "3, stride, padding=1, bias=False)\n        self.bn2", "3, padding=1, bias=False)\n        self.bn2"
    )
    (tmp_path / "answer.py").write_text(text, encoding="utf-8")
    outcomes = check("block", tmp_path / "answer.py")
    assert f"```text\n{report(outcomes, 'en')}\n```" in (DOCS / "resnet.md").read_text(encoding="utf-8")
    assert f"```text\n{report(outcomes, 'zh')}\n```" in (DOCS / "resnet.zh-CN.md").read_text(encoding="utf-8")


def test_results_that_differ_are_named_in_both_languages(tmp_path: Path) -> None:
    text = solution("conv").replace("w, grad.sum((0, 2, 3))", "w + 1, 2 * grad.sum((0, 2, 3))")
    (tmp_path / "answer.py").write_text(text, encoding="utf-8")
    hint = check("conv", tmp_path / "answer.py")[2].hint
    assert hint is not None
    assert "wrong in the second, third result" in hint.en
    assert "第二个、第三个返回值不对" in hint.zh


# (exercise, what the solution says, what is as right)
AS_RIGHT = [
    ("resnet", "x.mean((2, 3))", "x.mean(-1).mean(-1)"),
    ("resnet", "            x = self.get_submodule(f\"layer{number}\")(x)\n",
     "            for block in self.get_submodule(f\"layer{number}\"):\n                x = block(x)\n"),
    ("conv", "return dpadded[:, :, P : P + H, P : P + W], dw, grad.sum((0, 2, 3))", "return [dpadded[:, :, P : P + H, P : P + W], dw, grad.sum((0, 2, 3))]"),
    ("conv", "return (H + 2 * P - K) // s + 1", "import numpy\n    return numpy.int64((H + 2 * P - K) // s + 1)"),
    ("block", "        return (self.bn2(self.conv2(y)) + shortcut).relu()", "        shortcut += self.bn2(self.conv2(y))\n        return shortcut.relu_()"),
    ("block", "        return (self.bn3(self.conv3(y)) + shortcut).relu()", "        shortcut += self.bn3(self.conv3(y))\n        return shortcut.relu_()"),
    ("resnet", "        x = self.maxpool(self.bn1(self.conv1(x)).relu())",
     "        given = x\n        x = self.maxpool(self.bn1(self.conv1(x)).relu())\n        given.zero_()"),
    ("conv", "dtype=x.dtype)\n    padded[:, :, P : P + H, P : P + W] = x\n    y", ")\n    padded[:, :, P : P + H, P : P + W] = x\n    y"),
    ("resnet", "x.mean((2, 3))", "nn.AvgPool2d(7)(x).flatten(1)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "one", "other"),
    AS_RIGHT,
    ids=[
        "mean",
        "block by block",
        "list",
        "numpy",
        "in place",
        "bottleneck in place",
        "resnet in place",
        "float32",
        "7×7 average",
    ],
)
def test_another_right_answer_passes(name: str, one: str, other: str, tmp_path: Path) -> None:
    text = solution(name)
    assert one in text
    assert hints(name, text.replace(one, other), tmp_path) == ""


def test_an_exception_is_shown_with_its_line(tmp_path: Path) -> None:
    text = solution("conv").replace("return (H + 2 * P - K) // s + 1", "return 1 // 0")
    line = text[: text.index("1 // 0")].count("\n") + 1
    assert f"line {line}: ZeroDivisionError" in hints("conv", text, tmp_path)


@pytest.mark.parametrize("way", ["exit()", "exit(0)", "raise SystemExit"])
def test_an_answer_that_exits_is_wrong_and_the_report_is_whole(way: str, tmp_path: Path) -> None:
    text = solution("conv").replace("return (H + 2 * P - K) // s + 1", way)
    line = text[: text.index(way)].count("\n") + 1
    file = tmp_path / "conv_exercise.py"
    file.write_text(text, encoding="utf-8")
    said = report(check("conv", file), "en")
    assert f"✗ output size: line {line}: exit() ends the program" in said
    assert said.endswith("1 of 3 right")


def test_a_file_that_exits_as_it_is_read_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"calls exit\(\)"):
        hints("conv", "exit()\n" + solution("conv"), tmp_path)


def test_a_file_that_is_no_python_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1"):
        hints("conv", "def (:\n", tmp_path)


def test_the_command_writes_checks_and_never_overwrites(tmp_path: Path) -> None:
    def exercise(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "plusx", "lab", "exercise", "conv", *options]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)

    assert "yours to fill" in exercise().stdout
    file = tmp_path / "conv_exercise.py"
    assert file.read_text(encoding="utf-8") == template("conv")
    printed = exercise("--solution").stdout
    assert printed == solution("conv")
    assert file.read_text(encoding="utf-8") == template("conv")
    checked = exercise("--language", "zh")
    assert checked.returncode == 1
    assert "还没有写" in checked.stdout
    file.write_text(printed, encoding="utf-8")
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0
    assert "3 of 3 right" in done.stdout
