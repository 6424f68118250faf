"""A classifier as an ONNX graph: traced on PyTorch's own kernels, so only standard operators are in it."""

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

import plusx
from plusx import ops
from plusx.errors import optional
from plusx.inference import Classifier, normalise

OPSET = 18  # what torch's exporter writes by itself, and what onnxruntime has read since 1.14
INPUT, OUTPUT = "pictures", "probabilities"


class Deployed(nn.Module):
    """What the file computes: pictures to probabilities; from uint8, it normalises them first.

    Shapes: (N, 3, S, S) of float32, normalised; or (N, S, S, 3) of uint8 → (N, classes), rows that sum to 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Classifier, uint8: bool) -> None:
        """Copy the network to the CPU, in float32; the classifier stays as it is."""
        super().__init__()
        self.network = copy.deepcopy(classifier.network).cpu().float().eval()
        self.uint8 = uint8
        self.register_buffer("mean", torch.tensor(classifier.card.mean))
        self.register_buffer("std", torch.tensor(classifier.card.std))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures → probabilities."""
        x = normalise(pictures, self.mean, self.std) if self.uint8 else pictures
        return self.network(x).softmax(1)


def layout(classifier: Classifier, uint8: bool) -> str:
    """The input in words, for the file and for the screen.

    >>> layout(plusx.load("cifar10"), uint8=True)
    'uint8 (N, 32, 32, 3), RGB'
    """
    size = classifier.card.input_size
    if uint8:
        return f"uint8 (N, {size}, {size}, 3), RGB"
    return f"float32 (N, 3, {size}, {size}), (RGB / 255 - mean) / std"


def trace(classifier: Classifier, *, uint8: bool = False) -> Any:
    """The classifier as an `onnx.ModelProto` for any number of pictures.

    Args:
        classifier: not changed.
        uint8: take pictures as a camera gives them, see `Deployed`.
    """
    size = classifier.card.input_size
    # Two pictures: of one, the exporter would believe that it is always one.
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8) if uint8 else torch.zeros(2, 3, size, size)
    with ops.engine("native"), torch.no_grad(), quiet():
        program = torch.onnx.export(
            Deployed(classifier, uint8).eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("N", max=2**31 - 1)},),  # torch 2.7 wants an end
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip(model)
    return model


def describe(model: Any, classifier: Classifier, *, uint8: bool) -> None:
    """Write into the graph what its user has to know: each field of the card as JSON, and the input."""
    facts = {name: json.dumps(value, ensure_ascii=False) for name, value in asdict(classifier.card).items()}
    facts["input"] = layout(classifier, uint8)
    optional("onnx", "export").helper.set_model_props(model, facts)
    model.producer_name, model.producer_version = "plusx", plusx.__version__


def _strip(model: Any) -> None:
    """Take out the exporter's notes: they hold the source lines and folders of the machine it ran on."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter's and the quantiser's remarks: they are for their developers."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
