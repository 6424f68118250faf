"""Run an experiment and write down what came of it: `result.json` and `figure.png`."""

import json
import platform
import shlex
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Rows

import plusx
from plusx.console import say
from plusx.environment import processor
from plusx.files import write_whole
from plusx.lab.experiment import VERDICT_WORDS, Experiment, Table, Text
from plusx.lab.workbench import Workbench
from plusx.report.style import LIGHT, applied, to_png
from plusx.text import Language


def run_experiment(name: str, experiment: Experiment, bench: Workbench) -> dict[str, Any]:
    """Measure, judge, draw, and write both files into `bench.folder / name`.

    Returns:
        What `result.json` holds.
    """
    folder = bench.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    bench.trained.clear()
    numbers = json.loads(json.dumps(experiment.measure(bench)))  # as whoever reads the file will see them
    verdict, because = experiment.judge(numbers)
    result = {
        "experiment": name,
        "section": experiment.SECTION,
        "claim": experiment.CLAIM._asdict(),
        "question": experiment.QUESTION._asdict(),
        "rule": experiment.RULE._asdict(),
        "verdict": verdict,
        "because": because._asdict(),
        "numbers": numbers,
        "quick": bench.quick,
        "code": f"src/plusx/lab/{name.replace('-', '_')}.py",
        "command": shlex.join(["plusx", "lab", "run", name, *(["--quick"] if bench.quick else [])]),
        # From here on of this process; trainings that were kept may be of another day and machine.
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "seconds": round(time.perf_counter() - began, 1),
        "plusx_version": plusx.__version__,
        "torch_version": torch.__version__,
        "python": platform.python_version(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "trainings": dict(bench.trained),
    }
    with applied(LIGHT):
        picture = to_png(experiment.draw(numbers, LIGHT))
    write_whole(folder / "figure.png", picture)
    write_whole(folder / "result.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return result


def show(
    result: dict[str, Any], tables: list[Table], folder: Path, console: Console, language: Language
) -> None:
    """Print an experiment's question, tables, verdict and where its files are."""
    colour = {"holds": "green", "holds with conditions": "yellow"}.get(result["verdict"], "red")
    console.rule(f"[bold]{result['experiment']}[/bold]", align="left")
    for label, key in ((Text("claim", "论断"), "claim"), (Text("question", "问题"), "question")):
        console.print(
            f"[dim]{label.within(language)}:[/dim] {escape(result[key][language])}", highlight=False
        )
    for table in tables:
        console.print(_rows(table, language))
    if result["quick"]:
        note = Text(
            "no verdict (quick): few pictures and steps; its figures show how, not how much.",
            "快速模式不下结论：图片和步数很少，只说明做法，数字不能当真。",
        )
        console.print(f"[dim]{note.within(language)}[/dim]", highlight=False)
    else:
        verdict = VERDICT_WORDS[result["verdict"]].within(language)
        console.print(
            f"[bold {colour}]{verdict}[/bold {colour}]: {escape(result['because'][language])}",
            highlight=False,
        )
    say(console, f"{folder / 'figure.png'} · {folder / 'result.json'} · {result['code']}", style="dim")
    console.print()


def _rows(table: Table, language: Language) -> Rows:
    rows = Rows(title=table.title.within(language), title_justify="left", box=None, title_style="italic")
    for index, column in enumerate(table.columns):
        rows.add_column(column.within(language), justify="left" if index == 0 else "right")
    for row in table.cells(language):
        rows.add_row(*map(escape, row))
    return rows
