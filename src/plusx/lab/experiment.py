"""What an experiment is: a claim of the lesson, a question, a measurement, and a rule for the verdict.

Each experiment is a module of this room and offers what `Experiment` lists, in that order. Only `measure`
computes; `judge`, `tables` and `draw` read the numbers that it returned. So a verdict can be checked, and a
picture drawn again, from `result.json` alone.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from matplotlib.figure import Figure

from plusx.lab.workbench import Workbench
from plusx.report.style import Theme
from plusx.text import LANGUAGES, Language

Numbers = dict[str, Any]
"""What was measured, as JSON: text, numbers, and lists and dicts of them."""

Verdict = Literal["holds", "holds with conditions", "does not hold"]


class Text(NamedTuple):
    """The same sentence in English and in Chinese.

    >>> Text("a map of {size}", "{size} 的特征图").format(size=8).zh
    '8 的特征图'
    """

    en: str
    zh: str

    def format(self, **values: object) -> "Text":
        """Fill the same values into both; of a value that is a text itself, its own language into each.

        >>> Text("by {way}", "用{way}").format(way=Text("max pooling", "最大池化")).zh
        '用最大池化'
        """
        english, chinese = (
            {name: v.within(language) if isinstance(v, Text) else v for name, v in values.items()}
            for language in LANGUAGES
        )
        return Text(self.en.format(**english), self.zh.format(**chinese))

    def within(self, language: Language) -> str:
        """One of the two."""
        return self.zh if language == "zh" else self.en


VERDICT_WORDS: dict[Verdict, Text] = {
    "holds": Text("holds", "成立"),
    "holds with conditions": Text("holds with conditions", "有条件成立"),
    "does not hold": Text("does not hold", "不成立"),
}


class Judgement(NamedTuple):
    """A verdict and the one or two sentences, with numbers, that it rests on."""

    verdict: Verdict
    because: Text


@dataclass(frozen=True)
class Table:
    """A table for the terminal and the pages: cells are text already, numbers right-aligned by the reader."""

    title: Text
    columns: tuple[Text, ...]
    rows: tuple[tuple[str | Text, ...], ...]

    def cells(self, language: Language) -> list[list[str]]:
        """The rows in one language; what is a plain string is the same in both.

        >>> Table(Text("", ""), (), ((Text("bias", "偏置"), "0.1"),)).cells("zh")
        [['偏置', '0.1']]
        """
        return [
            [cell.within(language) if isinstance(cell, Text) else cell for cell in row] for row in self.rows
        ]


class Experiment(Protocol):
    """What every module of the laboratory offers."""

    SECTION: str
    """The lesson's heading, in its own words."""
    CLAIM: Text
    """What the lesson says there; `zh` is its own wording."""
    QUESTION: Text
    """What is measured to find out."""
    RULE: Text
    """When the verdict is which, fixed before measuring."""

    def measure(self, bench: Workbench) -> Numbers:
        """Find out; where `bench.quick` in a minute or so, the deep networks in some."""

    def judge(self, numbers: Numbers) -> Judgement:
        """Apply the rule."""

    def tables(self, numbers: Numbers) -> list[Table]:
        """The numbers that a person wants to read."""

    def draw(self, numbers: Numbers, theme: Theme) -> Figure:
        """One picture that shows the answer."""
