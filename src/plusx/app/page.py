"""What a page is, and what all pages share; `plusx.app.render` makes HTML of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plusx.app.forms import Form
from plusx.app.networks import Networks
from plusx.app.pictures import Shelf
from plusx.app.runs import Runs
from plusx.app.texts import Texts


@dataclass(frozen=True)
class House:
    """What all pages share.

    Attributes:
        networks: the trained networks that can be chosen.
        runs: the run folders.
        shelf: the uploaded pictures.
        data: the folder named on the command line, if one was.
    """

    networks: Networks
    runs: Runs
    shelf: Shelf
    data: Path | None


Compute = Callable[[Form, House, Texts], dict[str, Any]]
"""From the controls' values to what a template shows."""
Later = Callable[[dict[str, Any], House, Texts], dict[str, Any]]
"""From what was computed at once to the rest of what a template shows."""


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        name: of its template and its texts, and in its address.
        compute: what the template shows at once.
        later: what takes longer. It is computed after the page is on the screen, one at a time among all
            tabs, so that it leaves them alone; until then `later` is false in the template.
    """

    name: str
    compute: Compute
    later: Later | None = None
