"""Finished runs side by side: what they were, what they reached, and how sure the differences are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from plusx.report.finished import Run, same_pictures
from plusx.report.intervals import Interval, paired_interval, unpaired_interval, welch_interval

MACHINE = ("processor", "device", "threads", "precision", "torch", "plusx")
"""What figures depend on besides the recipe, as `environment.json` names it."""


@dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed."""

    name: str
    """A, B, …"""
    runs: Sequence[Run]

    @property
    def labels(self) -> list[str]:
        """A short name of each run: A if it is alone, else A1, A2, …"""
        alone = len(self.runs) == 1
        return [self.name if alone else f"{self.name}{number}" for number in range(1, len(self.runs) + 1)]

    @property
    def accuracies(self) -> list[float]:
        """One for each seed: of a seed that is there again, the first run's."""
        by_seed = {run.recipe.training.seed: run.accuracy for run in reversed(self.runs)}
        return [by_seed[seed] for seed in sorted(by_seed)]

    @property
    def mean(self) -> float:
        """Mean test accuracy."""
        return fmean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; None for one seed."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else None


@dataclass(frozen=True)
class Difference:
    """Test accuracy of a run less that of the first, −1…1, with its 95 % interval."""

    run: str
    difference: float
    interval: Interval
    gained: int | None
    """Pictures that only this run names right; None if the comparison is not paired."""
    lost: int | None
    """Pictures that only the first one names right."""
    reason: str | None
    """Why it is not paired."""


@dataclass(frozen=True)
class GroupDifference:
    """Mean accuracy of a group less that of the first, with Welch's 95 % interval."""

    group: str
    difference: float
    interval: Interval | None
    """None if neither group has any spread."""
    freedom: float | None
    """Degrees of freedom."""


@dataclass(frozen=True)
class Comparison:
    """All that `plusx compare` says."""

    runs: Sequence[Run]
    groups: Sequence[Group]
    """In the order of their first runs, so that the first one holds the first run."""
    settings: Mapping[str, Sequence[Any]]
    """The settings that differ: a value for each group."""
    machines: Mapping[str, Mapping[Any, Sequence[str]]]
    """The same for what the runs ran on: the labels of the runs for each value."""
    differences: Sequence[Difference]
    """Of each run but the first."""
    group_differences: Sequence[GroupDifference]
    """Of the groups with two seeds or more, where the first one has as many."""
    remarks: Sequence[str]
    """What the reader should know, a line each."""

    @property
    def labels(self) -> dict[str, str]:
        """The short name of each run, by its name."""
        return {
            run.name: label
            for group in self.groups
            for run, label in zip(group.runs, group.labels, strict=True)
        }


def compare(runs: Sequence[Run], right: Mapping[str, np.ndarray], reasons: Mapping[str, str]) -> Comparison:
    """Compare runs with the first of them.

    Args:
        runs: two or more, as `read_runs` gives them.
        right: by name, for the runs that were evaluated on the pictures of the first, whether each was
            named right, bool (N,).
        reasons: by name, why a run was not.
    """
    groups = _groups(runs)
    labels = {r.name: label for group in groups for r, label in zip(group.runs, group.labels, strict=True)}
    of_groups = [group.runs[0].settings for group in groups]
    settings = {key: [of.get(key) for of in of_groups] for of in of_groups for key in of}
    return Comparison(
        runs=runs,
        groups=groups,
        settings={key: values for key, values in settings.items() if len({*values}) > 1},
        machines=_machines(runs, labels),
        differences=[
            _difference(runs[0], run, right, _reason(runs[0], run, reasons, labels)) for run in runs[1:]
        ],
        group_differences=_group_differences(groups),
        remarks=[
            f"{run.name} names {right[run.name].sum():,} pictures right here, {run.correct:,} when it was "
            "trained: another machine or engine rounds differently"
            for run in runs
            if run.name in right and right[run.name].sum() != run.correct
        ],
    )


def to_json(of: Comparison) -> dict[str, Any]:
    """All of it as `plusx compare --json` prints it; docs/own-pictures.md explains the keys."""
    return {
        "runs": [
            {
                "run": run.name,
                "label": of.labels[run.name],
                "data": run.recipe.data.source,
                "test_pictures": run.test_pictures,
                "test_accuracy_interval": run.interval,
                "result": run.files.result,
            }
            for run in of.runs
        ],
        "groups": [
            {"group": group.name, "runs": [run.name for run in group.runs]}
            | {"mean": group.mean, "deviation": group.deviation}
            for group in of.groups
        ],
        "settings": {
            key: dict(zip([group.name for group in of.groups], values, strict=True))
            for key, values in of.settings.items()
        },
        "machines": {
            key: [{"value": value, "runs": labels} for value, labels in values.items()]
            for key, values in of.machines.items()
        },
        "first": of.runs[0].name,
        "differences": [
            asdict(difference) | {"method": "unpaired" if difference.reason else "paired"}
            for difference in of.differences
        ],
        "group_differences": [asdict(difference) for difference in of.group_differences],
        "remarks": of.remarks,
    }


def _machines(runs: Sequence[Run], labels: Mapping[str, str]) -> dict[str, dict[Any, list[str]]]:
    found: dict[str, dict[Any, list[str]]] = {key: {} for key in MACHINE}
    for run in runs:
        for key, values in found.items():
            values.setdefault(run.files.environment.get(key), []).append(labels[run.name])
    return {key: values for key, values in found.items() if len(values) > 1}


def _reason(first: Run, run: Run, reasons: Mapping[str, str], labels: Mapping[str, str]) -> str | None:
    """Why the two can't be compared in pairs; None if they can."""
    if not same_pictures(first, run):
        return "other test pictures"
    at_fault = [name for name in (run.name, first.name) if name in reasons]
    return f"{labels[at_fault[0]]}: {reasons[at_fault[0]]}" if at_fault else None


def _difference(first: Run, run: Run, right: Mapping[str, np.ndarray], reason: str | None) -> Difference:
    if reason is None:
        ours, theirs = right[run.name], right[first.name]
        gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
        interval = paired_interval(gained, lost, len(ours))
        return Difference(run.name, (gained - lost) / len(ours), interval, gained, lost, None)
    interval = unpaired_interval((first.correct, first.test_pictures), (run.correct, run.test_pictures))
    return Difference(run.name, run.accuracy - first.accuracy, interval, None, None, reason)


def _groups(runs: Sequence[Run]) -> list[Group]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(json.dumps(run.settings), []).append(run)
    return [Group(_letter(number), same) for number, same in enumerate(found.values())]


def _letter(number: int) -> str:
    """A, B, … Z, A′, B′, …"""
    rounds, place = divmod(number, 26)
    return chr(ord("A") + place) + "′" * rounds


def _group_differences(groups: Sequence[Group]) -> list[GroupDifference]:
    first, *others = groups
    if first.deviation is None:
        return []
    found = []
    for group in others:
        if group.deviation is not None:
            interval, freedom = welch_interval(first.accuracies, group.accuracies) or (None, None)
            found.append(GroupDifference(group.name, group.mean - first.mean, interval, freedom))
    return found
