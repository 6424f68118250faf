"""Training: start, watch, stop and resume runs of `plusx train`, and compare them."""

from typing import Any

from starlette.datastructures import QueryParams

from plusx.app.charts import Line
from plusx.app.forms import FieldError, Form
from plusx.app.page import House, Page
from plusx.app.runs import Run
from plusx.app.texts import Texts
from plusx.train import recipe_names

OWN = "own"
COLOURS = 4
MOST_EPOCHS = 100


def sources(house: House, texts: Texts) -> list[tuple[str, str]]:
    """What can be trained on, and what it is called."""
    own = [] if house.data is None else [(OWN, texts("source_own", folder=house.data.name))]
    return [("sample", texts["source_sample"]), ("cifar10", texts["source_cifar10"]), *own]


def compute(form: Form, house: House, texts: Texts) -> dict[str, Any]:
    """How the runs stand."""
    runs = [house.runs.get(name) for name in house.runs.names()]
    shown = form.several("run", [run.name for run in runs])
    shown = shown or [run.name for run in runs if run.status == "running"] or [run.name for run in runs[:1]]
    chosen = [run for run in runs if run.name in shown][:COLOURS]
    return {
        "recipe": form.choice("recipe", recipe_names(), "fast"),
        "recipes": [(name, name) for name in recipe_names()],
        "source": form.choice("source", [key for key, _ in sources(house, texts)]),
        "sources": sources(house, texts),
        "epochs": form.whole("epochs", 10, 1, MOST_EPOCHS),
        "seed": form.whole("seed", 0, 0, 9999),
        "MOST_EPOCHS": MOST_EPOCHS,
        "COLOURS": COLOURS,
        "runs": runs,
        "shown": [run.name for run in chosen],
        "chosen": chosen,
        "busy": any(run.status == "running" for run in runs),
        "ours": house.runs.running(),
        "accuracy": _curves(chosen, "accuracy", 100.0, texts),
        "loss": _curves(chosen, "loss", 1.0, texts),
    }


def _curves(runs: list[Run], what: str, scale: float, texts: Texts) -> list[Line]:
    """Training dashed, test (or what was held out) full, a colour for each run."""
    drawn = []
    for series, run in enumerate(runs):
        for kind, dashed in (("train", True), ("test", False)):
            points: list[tuple[float, float | None]] = []
            for line in run.epochs:
                value = line.get(f"{kind}_{what}")
                if value is None and kind == "test":
                    value = line.get(f"validation_{what}")
                if value is not None:
                    points.append((float(line["epoch"]), scale * float(value)))
            if run.epochs and run.status != "finished":
                points.append((float(run.epochs[-1]["epochs"]), None))
            drawn.append(Line(f"{run.name}, {texts[f'curve_{kind}']}", points, series, dashed))
    return drawn


def act(action: str, sent: QueryParams, house: House, texts: Texts) -> dict[str, Any]:
    """Start, stop or resume a run: {"run": its name} or {"faults": …}."""
    form = Form(sent)
    try:
        if action == "start":
            source = form.choice("source", [key for key, _ in sources(house, texts)])
            recipe = form.choice("recipe", recipe_names())
            where = str(house.data.resolve()) if source == OWN and house.data else source
            epochs, seed = form.whole("epochs", 10, 1, MOST_EPOCHS), form.whole("seed", 0, 0, 9999)
            return {"run": house.runs.start(recipe, where, epochs, seed)}
        name = form.choice("which", house.runs.names(), "")
        (house.runs.stop if action == "stop" else house.runs.resume)(name)
        return {"run": name}
    except FieldError as fault:
        return {"faults": {fault.field: texts(fault.key, **fault.values)}}


PAGE = Page("training", compute)
