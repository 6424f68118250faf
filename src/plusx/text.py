"""Text for readers: shares and times, and names from strangers made harmless.

Names of files may hold what a terminal takes for a command.
"""

import json
import math
import re
from typing import Any, Literal, get_args

from rich.markup import escape

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

# Control characters (ESC begins a terminal's commands), separators of lines, marks that turn the direction of
# writing round, and the lone surrogates that stand for bytes of a file name that are not UTF-8.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSEEN_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""The text with an escape in the place of every character that would act instead of being seen.

    >>> print(visible("cat\x1b[2J\n狗.png"))
    cat\x1b[2J\n狗.png
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def shown(text: str) -> str:
    r"""The text as a cell of a table that rich prints: no bracket in it is taken for markup.

    >>> print(shown("[bold]\x1b[2J"))
    \[bold]\x1b[2J
    """
    return escape(visible(text))


def is_visible(text: str) -> bool:
    r"""Whether the text has something to see, and nothing that acts.

    >>> is_visible("German shepherd"), is_visible("\x1b[2J"), is_visible("")
    (True, False, False)
    """
    return bool(text.strip()) and visible(text) == text


def percent(share: float | None, digits: int = 2) -> str:
    """A share of one in percent with so many decimals, a dash for none.

    >>> percent(0.9312), percent(0.9312, 1), percent(None)
    ('93.12 %', '93.1 %', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def counted(count: int, noun: str) -> str:
    """So many of what the noun says.

    >>> counted(1, "epoch"), counted(1200, "epoch")
    ('1 epoch', '1,200 epochs')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def setting(value: object) -> str:
    """A setting's value as a reader sees it: numbers to six digits, a dash for none.

    >>> setting(26 / 3), setting(0.1), setting(None), setting("cosine"), setting(True)
    ('8.66667', '0.1', '–', 'cosine', 'True')
    """
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def clock(seconds: float) -> str:
    """Minutes and seconds, hours where needed; none of less than nothing, whatever the clock did.

    >>> clock(75), clock(3_700), clock(-5), clock(math.inf)
    ('1:15', '1:01:40', '0:00', '–')
    """
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def from_json(text: str) -> Any:
    """Read JSON that anyone may have written.

    Raises:
        ValueError: if it is none, nested too deep, or has a number of thousands of digits.

    >>> from_json("[" * 100_000)
    Traceback (most recent call last):
    ...
    ValueError: nested too deep
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def json_text(value: Any) -> str:
    r"""Indented JSON in which Chinese stays readable and everything reads back as it was, odd file names too.

    >>> print(json_text({"狗": "\x1b[2J\x9b\udcff"}))
    {
      "狗": "\u001b[2J\u009b\udcff"
    }
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _UNSEEN_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
