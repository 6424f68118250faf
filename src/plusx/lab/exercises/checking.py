"""How an answer is checked: against the truth, and, where it differs, against the mistakes that people make.

A check that fails never shows the answer. It computes what each typical mistake would have given on the same
input; if the student's numbers are those, it says which mistake it is.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plusx.lab.experiment import Text

Hint = Text | None
"""None where all is right."""


class Check(NamedTuple):
    """One line of the report: what is checked, and how."""

    title: Text
    attempt: Callable[[ModuleType], Hint]


NOT_WRITTEN = Text("not written yet", "还没有写")


def run(check: Check, answer: ModuleType) -> Hint:
    """Carry a check out; what the student's code raises becomes a hint with the line it came from."""
    try:
        return check.attempt(answer)
    except NotImplementedError:
        return NOT_WRITTEN
    except (Exception, SystemExit) as error:
        own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == answer.__file__]
        line = own[-1].lineno if own else "?"
        if isinstance(error, SystemExit):  # it would end the check, with its own exit code and no report
            return Text(
                f"line {line}: exit() ends the program; return the answer",
                f"第 {line} 行：exit() 会结束整个程序；应当返回结果",
            )
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        # Torch's words for a float32 tensor that meets the float64 that it was given.
        mixed = "double" in said.lower() and "float" in said.lower()
        advice = Text("; pass dtype=x.dtype where you make a tensor", "；新建张量时请写 dtype=x.dtype")
        return Text(f"line {line}: {said}" + advice.en * mixed, f"第 {line} 行：{said}" + advice.zh * mixed)


def close(a: Tensor, b: Tensor) -> Tensor:
    """Where `a` is `b`, to the rounding of float32, through which a student's numbers may have gone on their way.

    >>> close(torch.tensor([0.1, 0.2]), torch.tensor([0.1, 0.3], dtype=torch.float64))
    tensor([ True, False])
    """
    largest = float(b.nan_to_num(0, 0, 0).abs().max())
    return torch.isclose(a.double(), b.double(), rtol=1e-4, atol=1e-4 * largest)


def whole(value: Any) -> bool:
    """Whether it is a whole number, numpy's too.

    >>> [whole(value) for value in (9, 9.0, True)]
    [True, False, False]
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def same(a: Any, b: Any) -> bool:
    """Equal numbers in equal shapes, to rounding."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and bool(close(a, b).all())
    return (type(a) is type(b) or (whole(a) and whole(b))) and bool(a == b)


def kind(value: Any) -> str:
    """What it is, with its article.

    >>> kind(1), kind([])
    ('an int', 'a list')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def compare(got: Any, truth: Any, mistakes: Mapping[Text, Callable[[], Any]], where: str = "") -> Hint:
    """None if `got` is the truth; else the mistake that gives `got`, or at least what differs."""
    if isinstance(truth, tuple) and isinstance(got, list):
        got = tuple(got)  # `return [dx, dw, db]` is as right
    if same(got, truth):
        return None
    for hint, wrong in mistakes.items():
        try:
            if same(got, wrong()):
                return hint
        except (ValueError, RuntimeError, IndexError):
            continue  # this mistake is impossible here
    at = f" ({where})" if where else ""
    if isinstance(truth, tuple) and not (isinstance(got, tuple) and len(got) == len(truth)):
        many = isinstance(got, tuple)
        came = (f"{len(got)}", f"{len(got)} 个") if many else (kind(got), f" {type(got).__name__}")
        return Text(
            f"should be {len(truth)} tensors as a tuple, not {came[0]}{at}",
            f"应为 {len(truth)} 个张量组成的元组，而不是{came[1]}{at}",
        )
    if isinstance(truth, tuple):
        names = (Text("first", "第一个"), Text("second", "第二个"), Text("third", "第三个"))
        wrong_parts = [n for n, g, t in zip(names, got, truth, strict=False) if not same(g, t)]
        which = ", ".join(n.en for n in wrong_parts), "、".join(n.zh for n in wrong_parts)
        return Text(f"wrong in the {which[0]} result{at}", f"{which[1]}返回值不对{at}")
    if not isinstance(got, type(truth)) and not (whole(got) and whole(truth)):
        kinds = type(truth).__name__, type(got).__name__
        return Text(
            f"should be {kind(truth)}, not {kind(got)}{at}", f"应为 {kinds[0]}，而不是 {kinds[1]}{at}"
        )
    if isinstance(truth, Tensor) and got.shape != truth.shape:
        shapes = tuple(truth.shape), tuple(got.shape)
        return Text(
            f"shape should be {shapes[0]}, not {shapes[1]}{at}",
            f"形状应为 {shapes[0]}，而不是 {shapes[1]}{at}",
        )
    if isinstance(truth, Tensor):
        wrong_ones = int((~close(got, truth)).sum())
        return Text(
            f"{wrong_ones:,} of {truth.numel():,} numbers are wrong{at}",
            f"{truth.numel():,} 个数中有 {wrong_ones:,} 个不对{at}",
        )
    return Text(f"{got} is wrong{at}", f"{got} 不对{at}")


def function_check(
    name: str,
    title: Text,
    truth: Callable[..., Any],
    mistakes: Mapping[Text, Callable[..., Any]],
    cases: Sequence[tuple[Any, ...]],
) -> Check:
    """Call the student's function on every case; the first difference is what the hint is about."""

    def attempt(answer: ModuleType) -> Hint:
        for arguments in cases:
            got = getattr(answer, name)(*(a.clone() if isinstance(a, Tensor) else a for a in arguments))
            wrong = {hint: partial(m, *arguments) for hint, m in mistakes.items()}
            settings = ", ".join(str(a) for a in arguments if not isinstance(a, Tensor))
            shapes = ", ".join("×".join(map(str, a.shape)) for a in arguments if isinstance(a, Tensor))
            hint = compare(
                got, truth(*arguments), wrong, f"{name}({', '.join(filter(None, (shapes, settings)))})"
            )
            if hint is not None:
                return hint
        return None

    return Check(title, attempt)


def load_state(module: torch.nn.Module, state: Mapping[str, Tensor]) -> Hint:
    """Load weights by name; a hint if the names or shapes don't fit."""
    own = {name: tensor.shape for name, tensor in module.state_dict().items()}
    missing = [name for name in state if name not in own]
    extra = [name for name in own if name not in state]
    if missing or extra:
        first = f"{missing[0]!r}" if missing else "–"
        other = f"{extra[0]!r}" if extra else "–"
        return Text(
            f"the names don't fit public weights: missing {first}, unknown {other}",
            f"名字与公开权重不符：缺少 {first}，多出 {other}",
        )
    wrong = [name for name in state if own[name] != state[name].shape]
    if wrong:
        shapes = tuple(state[wrong[0]].shape), tuple(own[wrong[0]])
        return Text(
            f"{wrong[0]} should be {shapes[0]}, not {shapes[1]}",
            f"{wrong[0]} 的形状应为 {shapes[0]}，而不是 {shapes[1]}",
        )
    module.load_state_dict(dict(state))
    return None
