"""Eight bits instead of 32: the file a quarter as large, the products two to three times as fast."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from plusx.errors import UserError, optional
from plusx.export.graph import INPUT, quiet
from plusx.export.session import batches
from plusx.inference import Classifier


class _Reader:
    """Hands the calibration pictures to onnxruntime, a batch at a time."""

    def __init__(self, feeds: Iterator[np.ndarray]) -> None:
        self.feeds = feeds

    def get_next(self) -> dict[str, np.ndarray] | None:
        feed = next(self.feeds, None)
        return None if feed is None else {INPUT: feed}


def quantise(model: Any, classifier: Classifier, pictures: np.ndarray, *, uint8: bool) -> Any:
    """Convolutions and the linear layer in 8-bit integers (post-training static quantisation, QDQ form).

    Weights get a scale for each output channel; what flows between layers gets the range that it takes on the
    calibration pictures (Jacob et al. 2018, arXiv 1712.05877). Weights use 7 of their 8 bits: processors
    without VNNI add two products in 16 bits, and would overflow.

    Args:
        model: from `trace`.
        classifier: whose graph it is.
        pictures: to calibrate on, uint8 (N, S, S, 3): training pictures, not those to be measured on.
        uint8: as in `trace`.

    Returns:
        Another `onnx.ModelProto`.

    Raises:
        UserError: if there are no calibration pictures.
    """
    if not len(pictures):
        raise UserError("int8 needs training pictures to calibrate on, and there are none")
    onnx = optional("onnx", "export")
    quantization = optional("onnxruntime.quantization", "export")
    with TemporaryDirectory() as folder, quiet():
        read, written = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, read)  # handed over as a file: a graph in memory would be changed
        quantization.quantize_static(
            read,
            written,
            _Reader(batches(pictures, classifier, uint8)),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm"],
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(written)
