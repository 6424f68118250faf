"""The lesson as a laboratory: a module for each claim, which measures it and says whether it holds.

>>> list(EXPERIMENTS)[:2]
['parameters', 'spatial-structure']
"""

from types import ModuleType
from typing import cast

from plusx.lab import (
    convolution_trace,
    degradation,
    gradient_flow,
    identity_path,
    output_size,
    padding,
    parameters,
    pooling,
    receptive_field,
    small_residuals,
    spatial_structure,
    stride,
    translation,
    variants,
)
from plusx.lab.experiment import Experiment, Judgement, Numbers, Table, Text
from plusx.lab.workbench import Trained, Workbench

# In the lesson's order.
_MODULES: tuple[ModuleType, ...] = (
    parameters,
    spatial_structure,
    translation,
    convolution_trace,
    output_size,
    padding,
    stride,
    receptive_field,
    pooling,
    gradient_flow,
    degradation,
    small_residuals,
    identity_path,
    variants,
)

EXPERIMENTS: dict[str, Experiment] = {
    module.__name__.rpartition(".")[2].replace("_", "-"): cast(Experiment, module) for module in _MODULES
}

__all__ = ["EXPERIMENTS", "Experiment", "Judgement", "Numbers", "Table", "Text", "Trained", "Workbench"]
