"""What the picture, the page and the terminal say of an explanation, so that all say the same."""

from typing import Any, NamedTuple

from plusx.explain.explanation import Explanation
from plusx.explain.features import StageMaps
from plusx.text import percent

OTHERS_SHOWN = 3
DOUBT = "Looks like none of the classes."


class Caption(NamedTuple):
    """What is shown, and how to read it."""

    what: str
    how: str


def answer(explanation: Explanation) -> str:
    """The likeliest class, with a question mark if it is doubtful, and how likely it is."""
    mark = "?" if explanation.answer.doubtful else ""
    return f"{explanation.answer.name}{mark} {percent(explanation.answer.probability, 1)}"


def remark(explanation: Explanation) -> str:
    """Whether the answer is doubtful, which class is explained if another, and what else it may be."""
    rest = list(explanation.answer.probabilities.items())[1 : 1 + OTHERS_SHOWN]
    parts = [DOUBT] if explanation.answer.doubtful else []
    if explanation.class_name != explanation.answer.name:
        share = explanation.answer.probabilities[explanation.class_name]
        parts.append(f"Explained: {explanation.class_name}, {percent(share, 1)}.")
    if rest:
        parts.append("Then " + ", ".join(f"{name} {percent(share, 1)}" for name, share in rest) + ".")
    return " ".join(parts)


def picture(explanation: Explanation) -> Caption:
    """Of the picture."""
    height, width = explanation.picture.shape[:2]
    return Caption("The picture", f"as the network sees it: {height}×{width}")


def grad_cam(explanation: Explanation) -> Caption:
    """Of the Grad-CAM panel."""
    height, width = explanation.grad_cam.shape
    how = "bright: speaks for" if explanation.grad_cam.any() else "nothing speaks for"
    return Caption(
        f"Grad-CAM of {explanation.stages[-1].name}, {height}×{width}", f"{how} {explanation.class_name}"
    )


def integrated_gradients(explanation: Explanation) -> Caption:
    """Of the panel of integrated gradients."""
    return Caption("Integrated gradients", f"orange: for {explanation.class_name}, blue: against")


def stage(maps: StageMaps) -> str:
    """How many maps a stage has and how large; which unit is looked at and what it sees."""
    _, height, width = maps.maps.shape
    it, field = maps.unit, maps.unit.field
    return (
        f"{maps.width} channels, {height}×{width}. Channel {it.channel}, row {it.row}, column {it.column} "
        f"sees {field.bottom - field.top}×{field.right - field.left} pixels."
    )


def numbers(explanation: Explanation) -> dict[str, Any]:
    """An explanation without its arrays, for JSON; a field is [top, left, bottom, right] in pixels."""
    found = explanation.integrated_gradients
    row, column = divmod(int(explanation.grad_cam.argmax()), explanation.grad_cam.shape[1])
    return {
        "class": explanation.answer.name,
        "probability": explanation.answer.probability,
        "doubtful": explanation.answer.doubtful,
        "probabilities": explanation.answer.probabilities,
        "explained": explanation.class_name,
        "grad_cam": {
            "stage": explanation.stages[-1].name,
            "size": list(explanation.grad_cam.shape),
            "highest": [row, column] if explanation.grad_cam.any() else None,
        },
        "integrated_gradients": {
            "sum": float(found.values.sum(dtype=float)),
            "logit": found.logit,
            "baseline_logit": found.baseline_logit,
            "completeness_error": found.error,
            "complete": found.is_complete,
            "steps": found.steps,
        },
        "stages": [
            {
                "stage": maps.name,
                "channels": maps.width,
                "size": list(maps.maps.shape[1:]),
                "strongest_channels": list(maps.channels),
                "unit": {
                    "channel": maps.unit.channel,
                    "row": maps.unit.row,
                    "column": maps.unit.column,
                    "activation": maps.unit.activation,
                    "field": list(maps.unit.field),
                },
            }
            for maps in explanation.stages
        ],
    }
