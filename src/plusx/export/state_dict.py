"""`save_state`: the weights alone, by name, for whoever builds the network without plusx."""

import io
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from plusx.errors import UserError
from plusx.files import write_whole
from plusx.models import Card
from plusx.models.resnet import DEPTHS


def torchvision_twin(card: Card) -> str | None:
    """The function of `torchvision.models` that builds the same network, None if there is none.

    >>> torchvision_twin(Card("resnet50", True, ("a", "b"), (0.5,) * 3, (0.25,) * 3, 64))
    'resnet50'
    >>> torchvision_twin(Card("resnet50", False, ("a", "b"), (0.5,) * 3, (0.25,) * 3, 64)) is None
    True
    """
    return card.model if card.residual and card.model in {f"resnet{depth}" for depth in DEPTHS} else None


def save_state(network: nn.Module, path: Path | str) -> int:
    """Write a network's state dict in float32: parameters and running statistics under their own names.

    Args:
        network: those of the ImageNet family have torchvision's names and shapes.
        path: replaced if it exists; `.safetensors`, or `.pth` for `torch.load(path, weights_only=True)`.

    Returns:
        How many tensors.

    Raises:
        UserError: for another suffix.
    """
    path = Path(path)
    state = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    match path.suffix:
        case ".safetensors":
            content = save(state, metadata={"format": "pt"})
        case ".pth":
            buffer = io.BytesIO()
            torch.save(state, buffer)
            content = buffer.getvalue()
        case _:
            raise UserError(f"{path} should end in .safetensors or .pth")
    write_whole(path, content)
    return len(state)
