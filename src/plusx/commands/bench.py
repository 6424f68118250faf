"""`plusx bench ops`, `plusx bench train`, `plusx bench data` and `plusx bench scaling`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from plusx.commands.options import Json
from plusx.device import resolve_device
from plusx.errors import UserError
from plusx.files import write_whole

Draw = Callable[[dict[str, Any]], bytes]

app = typer.Typer(help="Measure our speed beside PyTorch's, on this machine.", no_args_is_help=True)
Out = Annotated[Path, typer.Option(help="Folder for the JSON file and the picture.")]
Rounds = Annotated[int, typer.Option(min=1, help="How often each competitor runs; the median counts.")]


@app.command("ops")
def ops(
    group: Annotated[
        str | None, typer.Argument(help="pooling, convolution or normalisation; all unless given.")
    ] = None,
    out: Out = Path("runs/bench"),
    rounds: Rounds = 7,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: Json = False,
) -> None:
    """Each operation by hand and by PyTorch's kernel, checked against each other, forward and backward."""
    from plusx.bench.operations import GROUPS, bench_operations
    from plusx.bench.show import draw_operations, operations_table

    if group not in (None, *GROUPS):
        raise UserError(f"there is no group {group!r}; choose one of: {', '.join(GROUPS)}")
    place = resolve_device(device)
    with _measuring(out) as say:
        result = bench_operations(group, rounds, say, place)
    _deliver(out, "ops", result, operations_table, {"ops": draw_operations}, as_json)


@app.command("train")
def train(
    networks: Annotated[
        list[str] | None, typer.Argument(help="fast, resnet20, resnet18, resnet50; all unless given.")
    ] = None,
    out: Out = Path("runs/bench"),
    rounds: Rounds = 3,
    growth: Annotated[
        bool | None,
        typer.Option(
            "--growth/--no-growth",
            help="How seconds and memory grow with batch, pictures and depth; yes unless networks are given.",
        ),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            help="A finished run or a folder of them, for the time to 90 % and 94 %; may be repeated."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Whole training steps, ours and PyTorch's usual ones: speed, where the time goes, memory, growth."""
    from plusx.bench.growth import bench_growth
    from plusx.bench.show import draw_steps
    from plusx.bench.show_training import draw_breakdown, draw_growth, training_tables
    from plusx.bench.steps import NETWORKS, bench_steps
    from plusx.bench.time_to_accuracy import time_to

    for name in networks or ():
        if name not in NETWORKS:
            raise UserError(f"there is no benchmark of {name!r}; choose from: {', '.join(NETWORKS)}")
    ended = {"time_to": time_to(runs)} if runs else {}  # first, since it may find a fault
    with _measuring(out) as say:
        result = bench_steps(tuple(networks or NETWORKS), rounds, say)
        if growth or (growth is None and not networks):
            result["growth"] = bench_growth(rounds, say)
    result |= ended
    pictures: dict[str, Draw] = {"train": draw_steps, "breakdown": draw_breakdown}
    if "growth" in result:
        pictures["growth"] = lambda result: draw_growth(result["growth"])
    _deliver(out, "train", result, training_tables, pictures, as_json)


@app.command("scaling")
def scaling(out: Out = Path("runs/bench"), rounds: Rounds = 5, as_json: Json = False) -> None:
    """What ResNet-50 would cost on 1 to 1 024 GPUs: a model, and how far measurements are from it."""
    from plusx.bench.scaling import bench_scaling
    from plusx.bench.scaling.show import draw_scaling, scaling_tables

    with _measuring(out) as say:
        result = bench_scaling(rounds, say)
    _deliver(out, "scaling", result, scaling_tables, {"scaling": draw_scaling}, as_json)


@app.command("data")
def data(out: Out = Path("runs/bench"), rounds: Rounds = 3, as_json: Json = False) -> None:
    """Reading pictures from a folder, from shards and over HTTP, beside what training takes of them."""
    from plusx.bench.loading import bench_loading
    from plusx.bench.show_loading import draw_loading, loading_table

    with _measuring(out) as say:
        result = bench_loading(rounds, say=say)
    _deliver(out, "data", result, loading_table, {"data": draw_loading}, as_json)


@contextmanager
def _measuring(out: Path) -> Iterator[Callable[[str], None]]:
    """Make the folder; the block gets what shows, while it lasts, what is measured."""
    out.mkdir(parents=True, exist_ok=True)
    with Console(stderr=True).status("measuring") as status:
        yield lambda line: status.update(f"measuring {line}")


def _deliver(
    out: Path,
    name: str,
    result: dict[str, Any],
    tabulate: Callable[[dict[str, Any]], RenderableType],
    pictures: dict[str, Draw],
    as_json: bool,
) -> None:
    """Write the result before anything is made of it: measuring took minutes."""
    text = json.dumps(result, indent=2)
    files = [out / f"bench-{name}.json"]
    write_whole(files[0], text + "\n")
    for picture, draw in pictures.items():
        files.append(out / f"bench-{picture}.png")
        write_whole(files[-1], draw(result))
    if as_json:
        print(text)
        return
    # What is not a terminal, a file or a pipe, has no width to fit.
    Console(width=None if sys.stdout.isatty() else 120).print(tabulate(result))
    print(f"\nwritten: {', '.join(map(str, files))}")
