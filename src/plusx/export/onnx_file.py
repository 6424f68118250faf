"""`to_onnx`: trace, quantise if wished, compare with the network, and only then write."""

from pathlib import Path

import numpy as np

from plusx.errors import UserError, optional
from plusx.export.graph import describe, trace
from plusx.export.quantise import quantise
from plusx.export.session import Agreement, compare
from plusx.files import write_whole
from plusx.inference import Classifier
from plusx.text import percent

TOLERANCE = 1e-3
"""Largest difference of a probability that float32 may make; it is mostly below a hundredth of this."""
SAME_ANSWERS = 0.95
"""Share of pictures on which int8 has to give the network's answer."""


def to_onnx(
    classifier: Classifier,
    path: Path | str,
    *,
    uint8: bool = False,
    calibration: np.ndarray | None = None,
    check_on: np.ndarray | None = None,
) -> Agreement:
    """Write a classifier as an ONNX file that gives the same answers, for any number of pictures.

    Its input is called "pictures", its output "probabilities", float32 (N, classes). The card is in its
    metadata, each field as JSON.

    Args:
        classifier: on the CPU.
        path: replaced if it exists.
        uint8: take pictures as a camera or Pillow gives them, (N, S, S, 3), RGB, and normalise inside;
            otherwise normalised float32 (N, 3, S, S).
        calibration: training pictures, uint8 (N, S, S, 3); given, products are computed in 8-bit integers.
        check_on: pictures to compare on, uint8 (N, S, S, 3); 100 of noise, or the calibration pictures,
            unless given.

    Returns:
        What file and network said of the pictures compared on.

    Raises:
        UserError: if the file would not agree with the network (then none is written), or the libraries of
            `plusx[export]` are not installed.

    >>> import plusx, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     agreement = to_onnx(plusx.load("cifar10"), f"{folder}/model.onnx")
    >>> agreement.same_answers
    1.0
    """
    for library in ("onnx", "onnxscript", "onnxruntime"):
        optional(library, "export")
    model = trace(classifier, uint8=uint8)
    if calibration is not None:
        model = quantise(model, classifier, calibration, uint8=uint8)
    describe(model, classifier, uint8=uint8)
    optional("onnx", "export").checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    if check_on is None:
        size = classifier.card.input_size
        noise = np.random.default_rng(0).integers(0, 256, (100, size, size, 3), dtype=np.uint8)
        check_on = noise if calibration is None else calibration
    agreement = compare(content, classifier, check_on, uint8=uint8)
    _refuse_other_answers(agreement, path, int8=calibration is not None)
    write_whole(Path(path), content)
    return agreement


def _refuse_other_answers(agreement: Agreement, path: Path | str, *, int8: bool) -> None:
    if int8 and agreement.same_answers < SAME_ANSWERS:
        raise UserError(
            f"{path} is not written: in int8 only {percent(agreement.same_answers, 1)} of the answers stay, "
            f"and {percent(SAME_ANSWERS, 0)} have to; leave out --int8"
        )
    if not int8 and not agreement.largest_difference <= TOLERANCE:
        raise UserError(
            f"{path} is not written: onnxruntime's probabilities differ from the network's by up to "
            f"{agreement.largest_difference:.2g}, and {TOLERANCE:g} is allowed; please report this"
        )
