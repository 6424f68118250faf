"""A network to take away: as an ONNX file, as a state dict for torchvision, as a model card."""

from plusx.export.card import Measured, model_card
from plusx.export.graph import layout
from plusx.export.onnx_file import SAME_ANSWERS, TOLERANCE, to_onnx
from plusx.export.session import Agreement, compare
from plusx.export.state_dict import save_state, torchvision_twin

__all__ = [
    "SAME_ANSWERS",
    "TOLERANCE",
    "Agreement",
    "Measured",
    "compare",
    "layout",
    "model_card",
    "save_state",
    "to_onnx",
    "torchvision_twin",
]
