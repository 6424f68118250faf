"""`plusx export`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from rich.console import Console

import plusx
from plusx import data as data_room
from plusx.commands.options import DataDir, Force, Json
from plusx.commands.output import refuse_output
from plusx.commands.pictures import dataset_of, labels_of
from plusx.console import counting, say
from plusx.errors import UserError
from plusx.files import write_whole
from plusx.inference import Classifier, predict, score
from plusx.models import PRETRAINED, comes_with_plusx
from plusx.models.weights import WEIGHTS_FILE
from plusx.text import json_text, percent

CALIBRATION = 500  # training pictures; more change nothing that can be measured
ENDINGS = {"onnx": (".onnx",), "torch": (".safetensors", ".pth"), "card": (".md",)}


def export(
    run_or_weights: Annotated[
        Path, typer.Argument(help="A run directory, a .safetensors file, or cifar10, which comes with plusx.")
    ],
    form: Annotated[
        Literal["onnx", "torch", "card"],
        typer.Option(
            "--format",
            help="onnx: a file for onnxruntime and others. torch: a state dict, under torchvision's names "
            "where it has the network. card: a model card in Markdown.",
        ),
    ] = "onnx",
    uint8: Annotated[
        bool,
        typer.Option("--uint8", help="ONNX: take pictures as a camera gives them, uint8 (N, S, S, 3), RGB."),
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="ONNX: compute in 8-bit integers; a quarter of the size.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The file; beside the weights unless given. .pth for torch.load.")
    ] = None,
    force: Force = False,
    data: Annotated[
        str | None,
        typer.Option(
            help="Test pictures to check on: cifar10, sample, or a directory; the run's own unless given."
        ),
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Write a trained network as a file to take away, checked against the network."""
    if (uint8 or int8) and form != "onnx":
        raise UserError(f"--uint8 and --int8 are for --format onnx, not for {form}")
    classifier = plusx.load(run_or_weights)
    path = out or _beside(run_or_weights, form, ("-uint8" if uint8 else "") + ("-int8" if int8 else ""))
    _refuse(path, form, run_or_weights, force)
    if form == "torch":
        result, lines = _torch(classifier, path)
    elif form == "card" and comes_with_plusx(run_or_weights):
        write_whole(path, PRETRAINED[str(run_or_weights)].with_name("MODEL_CARD.md").read_bytes())
        result, lines = {}, ["the card that it came with"]
    else:
        dataset = dataset_of(run_or_weights, data, data_dir, classifier.card)
        labels = labels_of(run_or_weights, dataset, classifier.card)
        if form == "card":
            result, lines = _card(classifier, path, run_or_weights, dataset, labels)
        else:
            calibration = _calibration(run_or_weights, dataset, data_dir, classifier) if int8 else None
            result, lines = _onnx(classifier, path, dataset, labels, uint8, calibration)
    size = path.stat().st_size
    result = {"file": str(path), "format": form, "bytes": size} | result
    if as_json:
        print(json_text(result))
        return
    console = Console()
    for line in (f"written: {path}, {size:,} bytes", *lines):
        say(console, line)


def _beside(run_or_weights: Path, form: str, kind: str) -> Path:
    """Where the file goes unless told: beside the weights; of a network that comes with plusx, here."""
    if form == "card":
        folder = run_or_weights if run_or_weights.is_dir() else run_or_weights.parent
        return folder / "MODEL_CARD.md"
    stem = _weights(run_or_weights).with_suffix("")
    return stem.with_name(stem.name + {"onnx": f"{kind}.onnx", "torch": "-state.safetensors"}[form])


def _weights(run_or_weights: Path) -> Path:
    return run_or_weights / WEIGHTS_FILE if run_or_weights.is_dir() else run_or_weights


def _refuse(path: Path, form: str, run_or_weights: Path, force: bool) -> None:
    """Before any work: what would fail in the end, or take something away."""
    weights = _weights(run_or_weights)
    if path.exists() and weights.exists() and path.samefile(weights):
        raise UserError(f"{path} holds the weights themselves; choose another --out")
    refuse_output(path, ENDINGS[form], "--out", force)


def _calibration(
    run_or_weights: Path, dataset: data_room.Dataset, data_dir: Path | None, classifier: Classifier
) -> np.ndarray:
    """Training pictures of the dataset, as read; of the run's own where the dataset is all for testing."""
    cpu = torch.device("cpu")
    if not dataset.feed(cpu).pictures:
        dataset = dataset_of(run_or_weights, None, data_dir, classifier.card)
    return classifier.read(dataset.feed(cpu).sample(CALIBRATION).numpy())


def _onnx(
    classifier: Classifier,
    path: Path,
    dataset: data_room.Dataset,
    labels: np.ndarray,
    uint8: bool,
    calibration: np.ndarray | None,
) -> tuple[dict[str, Any], list[str]]:
    from plusx.export import layout, to_onnx

    images = classifier.read(dataset.test_images)
    found = to_onnx(classifier, path, uint8=uint8, calibration=calibration, check_on=images)
    accuracy, original = (score(answers, labels)[1] for answers in (found.probabilities, found.original))
    result = {
        "input": layout(classifier, uint8),
        "numbers": "float32" if calibration is None else "int8",
        "calibration_pictures": 0 if calibration is None else len(calibration),
        "data": dataset.name,
        "pictures": len(labels),
        "largest_difference": found.largest_difference,
        "same_answers": found.same_answers,
        "accuracy": accuracy,
        "network_accuracy": original,
    }
    same = round(found.same_answers * len(labels))
    return result, [
        f"pictures: {result['input']}; probabilities: float32 (N, {len(classifier.card.classes)})",
        f"checked in onnxruntime on {len(labels):,} test pictures of {dataset.name}: "
        f"same answer on {same:,}, probabilities differ by {found.largest_difference:.2g} at most",
        f"accuracy {percent(accuracy)}, the network's {percent(original)}",
    ]


def _torch(classifier: Classifier, path: Path) -> tuple[dict[str, Any], list[str]]:
    from plusx.export import save_state, torchvision_twin

    card = classifier.card
    classes, twin = len(card.classes), torchvision_twin(card)
    tensors = save_state(classifier.network, path)
    plain = "" if card.residual else ", residual=False"
    fits = (
        f"for torchvision.models.{twin}(num_classes={classes})"
        if twin
        else "torchvision has no such network; "
        f'for plusx.create_model("{card.model}", num_classes={classes}{plain})'
    )
    result = {"tensors": tensors, "classes": classes, "torchvision": twin}
    return result, [f"{tensors} tensors, float32; {fits}"]


def _card(
    classifier: Classifier, path: Path, run: Path, dataset: data_room.Dataset, labels: np.ndarray
) -> tuple[dict[str, Any], list[str]]:
    from plusx.export import Measured, model_card

    images = classifier.read(dataset.test_images)
    with plusx.engine("native"), counting(Console(stderr=True), "test pictures", len(images)) as show:
        answers = predict(classifier.network, images, classifier.card, show=show).numpy()
    measured = Measured(dataset.name, labels, answers, own=bool(dataset.record))
    if run.is_dir():
        text = model_card(run.resolve().name, classifier, measured, run=run)
    else:
        text = model_card(run.stem, classifier, measured, weights=run.name)
    write_whole(path, text)
    accuracy = score(answers, labels)[1]
    result = {"data": dataset.name, "pictures": len(labels), "accuracy": accuracy}
    return result, [f"accuracy {percent(accuracy)} on {len(labels):,} test pictures of {dataset.name}"]
