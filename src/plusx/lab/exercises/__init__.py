"""The homework as exercises: a file with holes for the student, and a checker that says what is wrong in it.

    plusx lab exercise pooling      # writes pooling_exercise.py; called again, checks it

The file that a student gets is the solution with the bodies of its functions taken out, so the two can't drift
apart.
"""

import ast
import importlib
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from plusx.errors import UserError
from plusx.lab.exercises.checking import Check, Hint, run
from plusx.lab.experiment import Text
from plusx.text import Language

EXERCISES = ("pooling", "conv", "block", "resnet")


class Outcome(NamedTuple):
    """A check's title, and its hint; None where all is right."""

    title: Text
    hint: Hint


def solution(name: str) -> str:
    """The whole file, holes filled."""
    folder = resources.files("plusx.lab.exercises") / "solutions"
    return (folder / f"{name}.py").read_text(encoding="utf-8")


def template(name: str) -> str:
    """The file with holes: each function keeps its name and its explanation.

    >>> "raise NotImplementedError" in template("conv") and "einsum" not in template("conv")
    True
    """
    text = solution(name)
    lines = text.splitlines()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda node: node.lineno, reverse=True):
        explained, *body = function.body
        assert body[-1].end_lineno is not None
        hole = " " * explained.col_offset + "raise NotImplementedError  # your turn · 轮到你了"
        lines[body[0].lineno - 1 : body[-1].end_lineno] = [hole]
    return "\n".join(lines) + "\n"


def check(name: str, file: Path) -> list[Outcome]:
    """Run every check of an exercise on a student's file.

    Raises:
        UserError: if the file is missing or is not Python.
    """
    answer = _read(file)
    checks: tuple[Check, ...] = importlib.import_module(f"plusx.lab.exercises.{name}").CHECKS
    return [Outcome(each.title, run(each, answer)) for each in checks]


def _read(file: Path) -> ModuleType:
    """Execute the file as a module, leaving nothing beside it."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} can't be read: {error}") from error
    answer = ModuleType("answer")
    answer.__file__ = str(file)
    try:
        exec(compile(text, str(file), "exec"), answer.__dict__)
    except SyntaxError as error:
        raise UserError(f"{file}, line {error.lineno}: {error.msg}") from error
    except SystemExit as error:  # it would end this process too, with its own exit code and no report
        raise UserError(f"{file} can't be checked: it calls exit()") from error
    except Exception as error:
        raise UserError(f"{file} can't be run: {type(error).__name__}: {error}") from error
    return answer


def report(outcomes: list[Outcome], language: Language) -> str:
    """A line for each check, with a hint where something is wrong.

    >>> report([Outcome(Text("size", "尺寸"), None), Outcome(Text("sum", "和"), Text("too small", "太小"))], "en")
    '✓ size\\n✗ sum: too small\\n1 of 2 right'
    """
    lines = [
        f"✓ {title.within(language)}"
        if hint is None
        else f"✗ {title.within(language)}: {hint.within(language)}"
        for title, hint in outcomes
    ]
    right = sum(hint is None for _, hint in outcomes)
    total = Text(f"{right} of {len(outcomes)} right", f"{len(outcomes)} 项中 {right} 项正确")
    return "\n".join([*lines, total.within(language)])


def main(name: str, file: str) -> None:
    """What an exercise's file calls when it is run itself."""
    outcomes = check(name, Path(file))
    print(report(outcomes, "en"))
    sys.exit(any(hint is not None for _, hint in outcomes))
