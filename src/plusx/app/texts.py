"""What the pages say: `texts/*.toml`, each text in English and in Chinese beside each other."""

import tomllib
from functools import cache
from importlib import resources

from plusx.text import LANGUAGES, Language


@cache
def read(name: str) -> dict[str, dict[str, str]]:
    """The file `texts/NAME.toml`: key → language → text."""
    text = resources.files("plusx.app").joinpath("texts", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


class Texts:
    """The texts of one page and those that all pages share, in one language.

    >>> Texts("convolution", "zh")["title"]
    '卷积'
    >>> Texts("convolution", "en")("unknown", name="x")
    Traceback (most recent call last):
    ...
    KeyError: 'unknown'
    """

    def __init__(self, page: str, language: Language) -> None:
        """Read both files."""
        self.language = language
        self._texts = {**read("common"), **read(page)}

    def __getitem__(self, key: str) -> str:
        """The text as it stands."""
        return self._texts[key][self.language]

    def __call__(self, key: str, **values: object) -> str:
        """The text with values filled in."""
        return self[key].format(**values)


def preferred(header: str) -> Language:
    """The language that a browser's Accept-Language asks for first, of those there are.

    >>> preferred("fr, zh-CN;q=0.9, en;q=0.8"), preferred("de"), preferred("")
    ('zh', 'en', 'en')
    """
    wanted = []
    for entry in header.split(",")[:20]:
        tag, _, rest = entry.strip().partition(";q=")
        try:
            weight = float(rest) if rest else 1.0
        except ValueError:
            weight = 0.0
        wanted.append((weight, tag[:2].lower()))
    known = [(weight, language) for weight, tag in wanted for language in LANGUAGES if tag == language]
    return max(known, key=lambda found: found[0])[1] if known else "en"
