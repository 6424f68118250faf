"""The command line: reads what the user wants, calls the rooms, prints what they say."""

import os
import signal
import sys
import warnings
from io import TextIOWrapper
from typing import Annotated, NoReturn

import torch
import typer
from typer.exceptions import TyperException

import plusx
from plusx.commands.app import app as open_app
from plusx.commands.bench import app as bench_app
from plusx.commands.compare import compare
from plusx.commands.data import app as data_app
from plusx.commands.evaluate import evaluate
from plusx.commands.explain import explain
from plusx.commands.export import export
from plusx.commands.lab import app as lab_app
from plusx.commands.models import models
from plusx.commands.predict import predict
from plusx.commands.train import train
from plusx.errors import UserError
from plusx.text import visible
from plusx.train import Interrupted

MEMORY = "memory ran out; smaller batches need less: --set training.batch_size=100, evaluation.batch_size=100"
LONGEST = 2000  # characters of an error's line; a damaged file may have longer things to say

app = typer.Typer(
    name="plusx",
    help="CNNs and ResNets by hand: train, measure and use them. [bold]y = F(x) + x[/bold]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, evaluate, compare, predict, explain, export, models):
    app.command()(command)
app.command("app")(open_app)
app.add_typer(data_app, name="data")
app.add_typer(lab_app, name="lab")
app.add_typer(bench_app, name="bench")


def _version(asked: bool) -> None:
    if asked:
        print(f"plusx {plusx.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options before the command's name; `--debug` is read in `main`, where errors end."""


def _fail(message: str) -> NoReturn:
    line = visible(" ".join(message.split()))
    print(f"plusx: {line if len(line) <= LONGEST else line[:LONGEST] + ' …'}", file=sys.stderr)
    raise SystemExit(2)


def _calm_streams() -> None:
    """Let no name of a file end a command, nor Pillow's remarks about a damaged one disturb it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="PIL")


def main() -> None:
    """Run the command line; a user's error is one line on standard error and exit code 2."""
    debug = "--debug" in sys.argv
    _calm_streams()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except UserError as error:
        if debug:
            raise
        _fail(str(error))
    except Interrupted as stopped:
        print(f"stopped; go on with: {stopped.again}", file=sys.stderr)
        raise SystemExit(128 + stopped.signal) from None
    except TyperException as error:
        if message := error.format_message():  # none beside the help that a bare `plusx` prints
            _fail(message.replace(": Value error, ", ": "))  # pydantic's words
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:  # plusx … | head: whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        raise SystemExit(128 + signal.SIGPIPE) from None
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # rich found it, and would exit with 1
            raise SystemExit(128 + signal.SIGPIPE) from None
        raise
    except OSError as error:  # a full disk, a folder that became unwritable: nothing half-written is left
        if debug:
            raise
        _fail(f"{error.filename or 'writing'}: {error.strerror or error}")
    except (MemoryError, torch.OutOfMemoryError):
        if debug:
            raise
        _fail(MEMORY)
    except RuntimeError as error:  # torch's allocator of the processor's memory has no class of its own
        if debug or "DefaultCPUAllocator" not in str(error):
            raise
        _fail(MEMORY)
    except (typer.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    if isinstance(code, int) and code:  # what a command left by `typer.Exit`
        raise SystemExit(code)


if __name__ == "__main__":
    main()
