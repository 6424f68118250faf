"""Finished runs as `plusx compare` takes them: their files, their settings, the pictures of their test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plusx.data import sample
from plusx.errors import UserError
from plusx.report.intervals import Interval, wilson_interval
from plusx.report.run_files import RunFiles, read_files
from plusx.train import Recipe, load_recipe, record_of

CIFAR10_TEST = 10_000  # pictures in the test set of CIFAR-10


@dataclass(frozen=True)
class Run:
    """A finished run."""

    name: str
    """As the user named its directory."""
    files: RunFiles
    recipe: Recipe
    record: Mapping[str, Any]
    """`data.json`; empty for CIFAR-10 and the sample."""

    @property
    def test_pictures(self) -> int:
        """How many pictures it was tested on."""
        if self.record:
            return sum(self.record["counts"]["test"].values())
        return len(sample("test")[1]) if self.recipe.data.source == "sample" else CIFAR10_TEST

    @property
    def accuracy(self) -> float:
        """Test accuracy of the last epoch, 0…1."""
        return float(self.files.result["test_accuracy"])

    @property
    def correct(self) -> int:
        """Test pictures named right."""
        return round(self.accuracy * self.test_pictures)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.test_pictures)

    @property
    def settings(self) -> dict[str, Any]:
        """All that was chosen but the seed, by dotted key, and which pictures of the user's they were."""
        tables = self.recipe.model_dump(exclude={"name": True, "training": {"seed"}})
        flat = {f"{table}.{key}": value for table, values in tables.items() for key, value in values.items()}
        first = {"recipe": self.recipe.name, "parameters": self.files.result["parameters"]}
        return first | flat | ({"pictures": self.record["content"][:12]} if self.record else {})


def read_runs(directories: Sequence[Path]) -> list[Run]:
    """Read two or more finished runs.

    Raises:
        UserError: if they are fewer, one is given twice, or one is not finished or is damaged.

    >>> read_runs([Path("runs/fast-seed0")])
    Traceback (most recent call last):
    plusx.errors.UserError: give two finished runs at least to compare
    """
    if len(directories) < 2:
        raise UserError("give two finished runs at least to compare")
    seen: dict[Path, Path] = {}
    for directory in directories:
        if (place := directory.resolve()) in seen:
            raise UserError(f"{directory} and {seen[place]} are the same run; give each once")
        seen[place] = directory
    return [read_run(directory) for directory in directories]


def read_run(directory: Path) -> Run:
    """Read one.

    Raises:
        UserError: if it is not finished or is damaged.
    """
    files = read_files(directory)
    try:
        recipe = load_recipe(str(directory / "recipe.toml"))
        run = Run(str(directory), files, recipe, record_of(directory))
        _ = run.settings, run.interval
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{directory} is damaged ({error}); use another copy, or train again") from error
    return run


def same_pictures(first: Run, second: Run) -> bool:
    """Whether both were tested on the same pictures, in the same order.

    A user's pictures are if their content is the same, and they were split in the same way. Pictures of a
    folder that were read at another size have other content; then the same files in the same place will do.
    """
    a, b = first.record, second.record
    if not a or not b:
        return not a and not b and first.test_pictures == second.test_pictures
    files, others = (of.get("split", {}).get("test") for of in (a, b))  # shards don't list theirs
    return files == others and (
        a["content"] == b["content"] or (files is not None and a["folder"] == b["folder"])
    )
