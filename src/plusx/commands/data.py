"""`plusx data fetch|verify|info|inspect|pack`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from plusx import data as data_room
from plusx.commands.options import DataDir, Force, Json
from plusx.commands.output import refuse_page
from plusx.console import say
from plusx.errors import UserError
from plusx.files import write_whole
from plusx.text import json_text, shown, visible

SKIPPED_SHOWN = 10

app = typer.Typer(
    help="Fetch, verify and describe CIFAR-10; inspect and pack your own pictures.", no_args_is_help=True
)


@app.command("fetch")
def fetch(data_dir: DataDir = None) -> None:
    """Bring CIFAR-10 into the cache, from the first source that serves it, and verify it."""
    console = Console()
    batches = data_room.fetch(data_dir, console=console)
    where = Path(min(batch.where for batch in batches.values())).parent
    say(console, f"CIFAR-10 is whole: {len(batches)} batches in {where}")


@app.command("verify")
def verify(data_dir: DataDir = None) -> None:
    """Check every batch's content against its published hash."""
    faulty = 0
    for name, batch in data_room.verify(data_dir).items():
        print(f"{name}  {visible(batch.fault or 'whole')}")
        faulty += batch.fault is not None
    if faulty:
        raise UserError(
            f"{faulty} of {len(data_room.BATCHES)} batches are not whole; mend them: plusx data fetch"
        )


@app.command("info")
def info(data_dir: DataDir = None) -> None:
    """Say where CIFAR-10 lies, how many pictures of each class it has, and their channel statistics."""
    print(data_room.info(data_dir))


@app.command("inspect")
def inspect(
    folder: Annotated[
        Path, typer.Argument(help="A folder of pictures: a folder a class, or train/ and val/.")
    ],
    page: Annotated[
        Path | None, typer.Option(help="Write a page with pictures of every class to this file.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Say what is in a folder of pictures before anything is trained: counts, sizes, problems."""
    from plusx.report.inspection_page import render_inspection, size_range

    refuse_page(page, force)
    dataset = data_room.load_folder(folder)
    record, sizes = dataset.record, size_range(dataset)
    console = Console(stderr=as_json)
    if page is not None:
        write_whole(page, render_inspection(dataset, sizes))
    if as_json:
        print(json_text(record))
    else:
        _show(console, record, sizes)
    if page is not None:
        say(console, f"written: {page}")


def _show(console: Console, record: dict[str, Any], sizes: str) -> None:
    splits = list(record["counts"])
    table = Table(box=None)
    table.add_column("class")
    for split in splits:
        table.add_column(split, justify="right")
    for name in record["classes"]:
        table.add_row(shown(name), *(f"{record['counts'][split][name]:,}" for split in splits))
    console.print(table)
    say(console, f"sizes: {sizes}; read as {record['size']}×{record['size']}")
    for remark in record["remarks"]:
        say(console, f"note: {remark}")
    for name, reason in list(record["skipped"].items())[:SKIPPED_SHOWN]:
        say(console, f"skipped: {name}: {reason}")
    if len(record["skipped"]) > SKIPPED_SHOWN:
        say(console, f"and {len(record['skipped']) - SKIPPED_SHOWN} more: --json lists all")


@app.command("pack")
def pack(
    folder: Annotated[
        Path, typer.Argument(help="A folder of pictures: a folder a class, or train/ and val/.")
    ],
    out: Annotated[Path, typer.Argument(help="A directory that is not there yet.")],
    shard_size: Annotated[
        str, typer.Option("--shard-size", help="Largest size of a shard: 256MB, 1GB, …")
    ] = "256MB",
    test_share: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Part of each class for testing, if not split.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Chooses the test pictures and shuffles.")] = 0,
) -> None:
    """Write a folder of pictures as shards, for training on more than fits into memory."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = TypeAdapter(ByteSize).validate_python(shard_size)
    except ValidationError as error:
        raise UserError(
            f"--shard-size takes a number and a unit, such as 256MB, not {shard_size!r}"
        ) from error
    packed = data_room.pack(folder, out, shard_size=size, test_share=test_share, seed=seed)
    console = Console()
    for path, reason in list(packed.skipped.items())[:SKIPPED_SHOWN]:
        say(console, f"skipped: {path}: {reason}")
    if len(packed.skipped) > SKIPPED_SHOWN:
        say(console, f"and {len(packed.skipped) - SKIPPED_SHOWN:,} more skipped")
    for split, count in packed.samples.items():
        say(console, f"{split}: {count:,} pictures in {packed.shards[split]}")
    tested = f" --set data.test='{packed.shards['test']}'" if "test" in packed.shards else ""
    say(console, f"train on them: plusx train --data '{packed.shards['train']}'{tested}")
