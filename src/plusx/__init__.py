"""plusx: CNNs and ResNets by hand. Every formula is code, every claim is measured, `y = F(x) + x`.

>>> import torch, plusx
>>> plusx.create_model("fast")(torch.zeros(1, 3, 32, 32)).shape
torch.Size([1, 10])
"""

__version__ = "0.1.0"

from plusx import data, models, nn, ops
from plusx.errors import UserError
from plusx.inference import load
from plusx.models import create_model
from plusx.ops import engine

__all__ = ["UserError", "__version__", "create_model", "data", "engine", "load", "models", "nn", "ops"]
