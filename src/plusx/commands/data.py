"""`plusx data fetch|verify|info`."""

import typer
from rich.console import Console

from plusx import data as pictures_room
from plusx.commands.options import DataDir
from plusx.errors import UserError

app = typer.Typer(help="Fetch, verify and describe CIFAR-10.", no_args_is_help=True)


@app.command("fetch")
def fetch(data_dir: DataDir = None) -> None:
    """Bring CIFAR-10 into the cache, from the first source that serves it, and verify it."""
    console = Console()
    batches = pictures_room.fetch(data_dir, console=console)
    where = sorted({str(batch.where) for batch in batches.values()})
    console.print(f"CIFAR-10 is whole: {len(batches)} batches in {where[0]}", highlight=False, soft_wrap=True)


@app.command("verify")
def verify(data_dir: DataDir = None) -> None:
    """Check every batch's content against its published hash."""
    faulty = 0
    for name, batch in pictures_room.verify(data_dir).items():
        fault = "missing" if batch is None else batch.fault
        print(f"{name}  {fault or 'whole'}")
        faulty += fault is not None
    if faulty:
        raise UserError(
            f"{faulty} of {len(pictures_room.BATCHES)} batches are not whole; mend them: plusx data fetch"
        )


@app.command("info")
def info(data_dir: DataDir = None) -> None:
    """Say where CIFAR-10 lies, how many pictures of each class it has, and their channel statistics."""
    print(pictures_room.info(data_dir))
