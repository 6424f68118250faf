"""`plusx models`."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from plusx import models as models_room
from plusx.commands.options import Json
from plusx.console import without_last
from plusx.models.registry import plain_name


def models(as_json: Json = False) -> None:
    """List the networks: layers, parameters, multiply-adds, receptive field, as measured on each."""
    residual = [name for name in models_room.model_names() if "plain" not in name]
    summaries = [models_room.summarise(name) for name in residual]
    if as_json:
        print(json.dumps([asdict(s) for s in summaries], indent=2))
        return
    table = Table(box=None)
    for title in ("model", "plain twin"):
        table.add_column(title, no_wrap=True)
    for title in ("layers", "parameters", "multiply-\nadds", "receptive\nfield", "made for"):
        table.add_column(title, justify="right", no_wrap=True)
    for s in summaries:
        table.add_row(
            s.name,
            plain_name(s.name),
            str(s.layers),
            f"{s.parameters:,}",
            f"{s.multiply_adds / 1e6:,.0f} M",
            f"{s.receptive_field} px",
            f"{s.input_size}×{s.input_size}",
        )
    console = Console()
    console.print(without_last(table, console.width))
