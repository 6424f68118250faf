"""Where explanations are written: a picture for each, and a page with all of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from plusx.errors import UserError
from plusx.explain.explanation import Explanation
from plusx.explain.figure import draw
from plusx.explain.page import render_page
from plusx.files import write_all
from plusx.models import Card

FOLDER = Path("explanations")
PAGE = "index.html"


def choose_folder(asked: Path | None) -> Path:
    """A folder in which nothing can be overwritten.

    Args:
        asked: the user's choice; without one the first free of `explanations`, `explanations-2`, ….

    Raises:
        UserError: if the user's choice holds something already.
    """
    if asked is None:
        return next(folder for folder in _numbered(FOLDER) if not folder.exists())
    if asked.exists() and not asked.is_dir():
        raise UserError(f"{asked} is a file; choose another --out")
    if asked.is_dir() and any(asked.iterdir()):
        raise UserError(f"{asked} is not empty; choose another --out")
    return asked


def file_names(pictures: Sequence[Path]) -> list[str]:
    """A PNG's name for each picture, no two alike, whatever the file system makes of capitals.

    >>> file_names([Path("a/cat.jpg"), Path("b/Cat.png"), Path("dog.png")])
    ['cat.png', 'Cat-2.png', 'dog.png']
    """
    names: list[str] = []
    taken: set[str] = set()
    for picture in pictures:
        numbered = _numbered(Path(picture.stem))
        name = next(f"{stem}.png" for stem in numbered if f"{stem}.png".casefold() not in taken)
        names.append(name)
        taken.add(name.casefold())
    return names


def _numbered(path: Path) -> Iterator[Path]:
    """path, path-2, path-3, …"""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.name}-{number}")


def write(folder: Path, explanations: Mapping[Path, Explanation], card: Card) -> dict[Path, Path]:
    """Write `index.html` and a PNG for each picture, all of them or none.

    Args:
        folder: made if it is not there; files of the same names in it are replaced, see `choose_folder`.
        explanations: by the picture's path.
        card: of the network.

    Returns:
        The PNG of each picture.

    Raises:
        UserError: if the folder can't be made.
        OSError: if it can't be written.
    """
    files = dict(zip(explanations, (folder / name for name in file_names([*explanations])), strict=True))
    contents = {files[path]: draw(explanation, str(path)) for path, explanation in explanations.items()}
    page = render_page({str(path): explanation for path, explanation in explanations.items()}, card)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"can't write to {folder}: {error.strerror}; choose another --out") from error
    write_all(contents | {folder / PAGE: page})
    return files
