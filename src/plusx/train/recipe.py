"""A recipe: every setting of a run, validated. The shipped ones are the TOML files in `recipes/`."""

import difflib
import json
import os
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from plusx.data.shards import is_shards
from plusx.errors import UserError
from plusx.models import model_names
from plusx.models.card import LARGEST_INPUT
from plusx.text import is_visible

CUSTOM = "custom"
LONGEST = 2**16  # bytes of a recipe; the shipped ones have about a thousand
MANY = 1_000_000  # epochs, or pictures at a time: more is a mistake, or a stranger's joke


class Section(BaseModel):
    """A table of the TOML file: unknown keys are refused, nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Model(Section):
    """Which network; "custom" is one built in Python and handed to the trainer."""

    name: str = "fast"
    residual: bool = True
    begin_from: str = ""
    """Weights to begin with: a run, a weights file, or cifar10 (they come with plusx); none if empty."""
    freeze: str = ""
    """The last stage that keeps the weights it began with, such as stage2; none if empty."""

    @model_validator(mode="after")
    def _known(self) -> "Model":
        if self.name not in (*model_names(), CUSTOM):
            raise ValueError(f"there is no model {self.name!r}; choose one of: {', '.join(model_names())}")
        return self


class Data(Section):
    """Which pictures, and what is done to them in training."""

    source: str = "cifar10"
    """cifar10, sample, a directory that holds CIFAR-10 or a folder of pictures for each class, or shards."""
    test: str = ""
    """Where the pictures in `source` are shards: shards or a folder to test on; the last of them if empty."""
    size: int = Field(default=0, ge=0, le=LARGEST_INPUT)
    """Side, in pixels, at which a user's own pictures are read; 0 chooses by what is there."""
    test_share: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Part of each class that is for testing, where the user's folder is not split; of the shards, else."""
    validation: int = Field(default=0, ge=0)
    """Training pictures held out, evenly from the classes; the test set is then looked at once, last."""
    mirror: Literal["none", "random", "alternating"] = "random"
    crop: int = Field(default=4, ge=0, le=64)
    """Largest shift in pixels, the border reflected."""
    cutout: int = Field(default=0, ge=0, le=256)
    """Side of a square that is blanked, in pixels."""
    light: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Largest change of contrast (a factor 1 ± light) and brightness (± light standard deviations)."""
    resized_crop: float = Field(default=0.0, ge=0.0, le=1.0)
    """Smallest share of the area of a part that is enlarged to the whole picture; 0 turns it off."""
    policy: Literal["none", "trivial"] = "none"
    """trivial: one of 14 operations, of random strength, on each picture (TrivialAugment)."""


class Training(Section):
    """How long, in what order, in which numbers."""

    epochs: int = Field(default=10, ge=1, le=MANY)
    batch_size: int = Field(default=128, ge=2, le=MANY)
    seed: int = Field(default=0, ge=0, lt=2**31)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    small_epochs: int = Field(default=0, ge=0, le=MANY)
    """So many epochs at the beginning see pictures reduced to small_size, for less work."""
    small_size: int = Field(default=24, ge=8, le=LARGEST_INPUT)
    averaging: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Decay a step of the moving average of the weights that is then evaluated and saved; 0 turns it off."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 where the processor multiplies it in hardware; parameters stay float32 either way."""
    engine: Literal["auto", "native", "handmade"] = "auto"
    """auto: for each operation the faster one, see `plusx.ops.engine`."""
    device: str = "auto"
    scale_batch: bool = False
    """With several processes: each takes batch_size pictures a step, instead of sharing them."""
    shared_norm: bool = False
    """With several processes: batch norms take their statistics from the pictures of all of them."""
    checkpoint_minutes: float = Field(default=5.0, gt=0.0)
    log: Literal["none", "tensorboard"] = "none"
    """What keeps the figures of each epoch besides metrics.jsonl."""


class Optimizer(Section):
    """How a gradient becomes a step. Rates are for the mean loss of a batch and follow the schedule."""

    name: Literal["sgd", "muon"] = "sgd"
    learning_rate: float = Field(default=0.1, gt=0.0)
    """Of all parameters under sgd; of the convolutions' filters under muon."""
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=1e-4, ge=0.0)
    """Under sgd, of everything but biases and norms. Under muon filters are renormalised instead."""
    bias_learning_rate: float = Field(default=25.0, gt=0.0)
    """Under muon: of the one-dimensional parameters, which SGD with Nesterov momentum steps."""
    head_learning_rate: float = Field(default=0.0, ge=0.0)
    """Of the last linear layer, which SGD with Nesterov momentum steps; 0 takes learning_rate."""
    head_weight_decay: float = Field(default=0.2, ge=0.0)
    head_momentum: float = Field(default=0.85, ge=0.0, lt=1.0)


class Schedule(Section):
    """The factor on every learning rate, from 0 to 1 and back to 0."""

    shape: Literal["linear", "cosine", "constant"] = "cosine"
    power: float = Field(default=1.0, gt=0.0)
    """The way down is raised to this power: above 1 it falls sooner, to more steps at small rates."""
    warmup_epochs: float = Field(default=0.0, ge=0.0)


class Evaluation(Section):
    """How the network is measured."""

    views: Literal["none", "mirror", "shift"] = "mirror"
    """Test-time views, reported beside the plain accuracy: mirror averages 2, shift 6 (mirror × 3 shifts)."""
    batch_size: int = Field(default=1000, ge=1, le=MANY)
    every: int = Field(default=1, ge=1, le=MANY)
    """Epochs from one measurement to the next; after the last there always is one."""


class Recipe(Section):
    """All settings of a run.

    >>> recipe = load_recipe("fast", {"training.epochs": 2})
    >>> recipe.training.epochs, recipe.model.name
    (2, 'fast')
    """

    name: str
    model: Model = Model()
    data: Data = Data()
    training: Training = Training()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    evaluation: Evaluation = Evaluation()

    @field_validator("name")
    @classmethod
    def _nameable(cls, name: str) -> str:
        if not is_visible(name) or "/" in name or len(name) > 100:
            raise ValueError(f"name = {name!r} can't name a folder; give the recipe another")
        return name

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        if self.schedule.warmup_epochs > self.training.epochs:
            raise ValueError("schedule.warmup_epochs is longer than training.epochs")
        return self


def recipe_names() -> tuple[str, ...]:
    """The shipped recipes, by name.

    >>> "fast" in recipe_names()
    True
    """
    folder = resources.files("plusx.train") / "recipes"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load_recipe(name_or_file: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a shipped recipe or a TOML file, and override single settings.

    Args:
        name_or_file: "fast", …, or a path that ends in .toml.
        overrides: values by dotted key: {"training.epochs": 3}.

    Raises:
        UserError: if there is no such recipe, a key is unknown, or a value is not allowed; says what is.
    """
    if name_or_file.endswith(".toml"):
        path = Path(name_or_file)
        text, name = _text(path), path.stem
    elif name_or_file in recipe_names():
        text = (resources.files("plusx.train") / "recipes" / f"{name_or_file}.toml").read_text(
            encoding="utf-8"
        )
        name = name_or_file
    else:
        raise UserError(
            f"there is no recipe {name_or_file!r}; {_instead_of(name_or_file)}"
            f"choose one of: {', '.join(recipe_names())}, or a path to a .toml file"
        )
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name_or_file} is not valid TOML: {error}") from error
    tables.setdefault("name", name)
    for key, value in (overrides or {}).items():
        _set(tables, key, value)
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        raise UserError(_one_line(error)) from error


def _instead_of(name: str) -> str:
    """What may have been meant by a recipe that isn't there: pictures, or another recipe."""
    if name in ("cifar10", "sample") or is_shards(name) or os.path.isdir(name):
        return f"for the pictures there: plusx train --data {shlex.quote(name)}; or "
    close = difflib.get_close_matches(name.lower(), recipe_names(), n=1)
    return f"did you mean {close[0]}? " if close else ""


def settled_in(name_or_file: str) -> set[str]:
    """The dotted keys that are not to be fitted to the pictures.

    In a file of their own, users have settled what is in pixels, and the batch if they name it there.

    >>> settled_in("fast")
    set()
    """
    if not name_or_file.endswith(".toml"):
        return set()
    tables = tomllib.loads(_text(Path(name_or_file)))
    named = "batch_size" in tables.get("training", {})
    return set(setting_keys()) - (set() if named else {"training.batch_size"})


def _text(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"there is no recipe file {path}")
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise ValueError("more than 64 KiB")
        return content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read as a recipe: {getattr(error, 'strerror', error)}") from error


def parse_setting(setting: str) -> tuple[str, Any]:
    """Split KEY=VALUE; the value is read as TOML, and taken as text where it is none.

    Raises:
        UserError: if there is no "=".

    >>> parse_setting("training.epochs=3"), parse_setting("data.mirror=none")
    (('training.epochs', 3), ('data.mirror', 'none'))
    """
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise UserError(f"--set takes KEY=VALUE, such as training.epochs=5, not {setting!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return key.strip(), value.strip()


def to_toml(recipe: Recipe) -> str:
    """The whole recipe as TOML, a table a section; `load_recipe` reads it back."""
    lines = [f"name = {_quoted(recipe.name)}"]
    for section, values in recipe.model_dump(exclude={"name"}).items():
        lines += [
            "",
            f"[{section}]",
            *(f"{k} = {_quoted(v)}" for k, v in values.items()),
        ]
    return "\n".join(lines) + "\n"


def _quoted(value: Any) -> str:
    """The value as TOML, whose texts are those of JSON but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def setting_keys() -> tuple[str, ...]:
    """Every dotted key that `--set` takes."""
    return tuple(_keys(Recipe))


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from _keys(inner, f"{prefix}{name}.")
        elif prefix:
            yield prefix + name


def _set(tables: dict[str, Any], key: str, value: Any) -> None:
    if key not in setting_keys():
        raise UserError(_unknown(key))
    section, field = key.split(".")
    table = tables.setdefault(section, {})
    if isinstance(table, dict):  # if not, the validation says so
        table[field] = value


def _unknown(key: str) -> str:
    """The complaint about a key that isn't there: with those that may have been meant, or else with all."""
    # By the part after the dot: the sections are so much alike that they would decide.
    last = {known: known.rpartition(".")[2] for known in setting_keys()}
    close = difflib.get_close_matches(key.rpartition(".")[2], {*last.values()}, n=1)
    meant = [known for known in last if last[known] in close]
    hint = f"did you mean {' or '.join(meant)}?" if meant else f"allowed: {', '.join(last)}"
    return f"unknown setting {key!r}; {hint}"


def _one_line(error: ValidationError) -> str:
    """Every complaint of pydantic, in one line that a person reads."""
    complaints = []
    for detail in error.errors():
        key = ".".join(map(str, detail["loc"]))
        if detail["type"] == "extra_forbidden":
            complaints.append(_unknown(key))
        elif detail["type"] == "value_error":
            complaints.append(str(detail["ctx"]["error"]))
        else:
            what = detail["msg"].removeprefix("Input should be ")
            complaints.append(f"{key} = {detail['input']!r}: should be {what}")
    return "; ".join(complaints)
