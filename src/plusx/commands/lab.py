"""`plusx lab list`, `plusx lab run` and `plusx lab exercise`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from plusx.commands.options import DataDir, Json
from plusx.errors import UserError
from plusx.text import Language, shown

app = typer.Typer(help="The lesson's claims, each one measured.", no_args_is_help=True)
In = Annotated[Language, typer.Option("--language", "-l", help="en or zh.")]


@app.command("list")
def list_experiments(language: In = "en") -> None:
    """Show every experiment: its name and the claim that it tests."""
    from plusx.lab import EXPERIMENTS

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("claim")
    for name, experiment in EXPERIMENTS.items():
        table.add_row(name, shown(experiment.CLAIM.within(language)))
    Console().print(table)


@app.command("run")
def run(
    names: Annotated[list[str], typer.Argument(help="Experiments by name, or: all.")],
    quick: Annotated[
        bool,
        typer.Option("--quick", help="The sample of 1 000 pictures: how it is done, in a minute or so each."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/lab or runs/lab-quick unless given.")] = None,
    language: In = "en",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Measure, print the table and the verdict, and write `result.json` and `figure.png`.

    Trainings are kept: what was stopped goes on, what was finished is not trained again.
    """
    from plusx.lab import EXPERIMENTS
    from plusx.lab.runner import run_experiment, show
    from plusx.lab.workbench import Workbench
    from plusx.train import Interrupted

    for name in names:
        if name not in (*EXPERIMENTS, "all"):
            raise UserError(f"there is no experiment {name!r}; choose from: all, {', '.join(EXPERIMENTS)}")
    folder = out or Path("runs") / ("lab-quick" if quick else "lab")
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=as_json)
    bench = Workbench(folder, quick=quick, console=console, data_dir=data_dir)
    results = []
    for name in EXPERIMENTS if "all" in names else dict.fromkeys(names):
        try:
            result = run_experiment(name, EXPERIMENTS[name], bench)
        except Interrupted as stopped:
            raise Interrupted(stopped.run, stopped.signal, shlex.join(["plusx", *sys.argv[1:]])) from None
        results.append(result)
        if not as_json:
            show(result, EXPERIMENTS[name].tables(result["numbers"]), folder / name, console, language)
    if as_json:
        json.dump(results, sys.stdout, indent=2, ensure_ascii=False)
        print()


@app.command("exercise")
def exercise(
    name: Annotated[str, typer.Argument(help="pooling, conv, block or resnet.")],
    file: Annotated[Path | None, typer.Option(help="Your file; NAME_exercise.py unless given.")] = None,
    solution: Annotated[
        bool, typer.Option("--solution", help="Print a solution; your file is left alone.")
    ] = False,
    language: In = "en",
) -> None:
    """The homework: writes a file with holes; called again, says what is right in it and what is not."""
    from plusx.files import write_whole
    from plusx.lab import exercises

    if name not in exercises.EXERCISES:
        raise UserError(f"there is no exercise {name!r}; choose one of: {', '.join(exercises.EXERCISES)}")
    if solution:
        print(exercises.solution(name), end="")
        return
    own = file or Path(f"{name}_exercise.py")
    if not own.exists():
        write_whole(own, exercises.template(name))
        print(f"{own} is yours to fill; then: plusx lab exercise {name}" + (f" --file {own}" if file else ""))
        return
    outcomes = exercises.check(name, own)
    print(exercises.report(outcomes, language))
    if any(hint is not None for _, hint in outcomes):
        raise typer.Exit(1)
