"""Reading what a browser sends: every value is checked, and what is wrong is said beside its control."""

import math
import re
from collections.abc import Collection

from starlette.datastructures import QueryParams


class FieldError(Exception):
    """A control's value that can't be used.

    Attributes:
        field: the control's name.
        key: which text says what is wrong.
        values: what is filled into it.
    """

    def __init__(self, field: str, key: str, **values: object) -> None:
        """Keep what the page needs to say it."""
        super().__init__(f"{field}: {key}")
        self.field = field
        self.key = key
        self.values = values


class Form:
    """The values of a page's controls; a control that was not sent has its default.

    >>> form = Form(QueryParams("k=5&s=x&pad=same"))
    >>> form.whole("k", 3, 1, 11), form.whole("p", 1, 0, 5), form.choice("pad", ("valid", "same"))
    (5, 1, 'same')
    >>> form.whole("s", 1, 1, 4)
    Traceback (most recent call last):
    ...
    plusx.app.forms.FieldError: s: error_whole
    """

    def __init__(self, query: QueryParams) -> None:
        """Keep the query of the address."""
        self._query = query

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number in least … most."""
        text = self._query.get(name)
        if text is None or text == "":
            return default
        if not re.fullmatch(r"-?[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise FieldError(name, "error_whole", least=least, most=most)
        return int(text)

    def choice(self, name: str, allowed: Collection[str], default: str | None = None) -> str:
        """One of the allowed words; the default is the first of them unless given."""
        text = self._query.get(name)
        if text is None:
            return next(iter(allowed)) if default is None else default
        if text not in allowed:
            raise FieldError(name, "error_choice")
        return text

    def known(self, name: str, allowed: Collection[str], default: str) -> str:
        """The word sent if it is allowed, else the default: for what may be left of another choice."""
        text = self._query.get(name, default)
        return text if text in allowed else default

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self._query.get(name) == "on"

    def several(self, name: str, allowed: Collection[str]) -> list[str]:
        """The allowed words among those sent, in the order allowed."""
        sent = set(self._query.getlist(name))
        return [word for word in allowed if word in sent]

    def numbers(self, name: str, most: int, largest: float = 1000.0) -> list[float]:
        """A row of numbers, at most `most` of them, an empty one being 0."""
        texts = self._query.getlist(name)
        try:
            values = [float(text or 0) for text in texts[:most]]
        except ValueError:
            raise FieldError(name, "error_number") from None
        if not all(math.isfinite(value) and abs(value) <= largest for value in values):
            raise FieldError(name, "error_size", largest=f"{largest:g}")
        return values

    def text(self, name: str, default: str) -> str:
        """A short word as it was sent; whoever uses it looks it up."""
        return (self._query.get(name) or default)[:200]
