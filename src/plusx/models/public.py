"""Public checkpoints in PyTorch's own format, a pickle, of which only plain tensors by name are taken."""

import zipfile
from pathlib import Path

import torch
from torch import Tensor

from plusx.errors import UserError
from plusx.pickles import names_in

_MOST_ACTS = 20_000  # tuples and calls: the state of resnet152 has 5 285
_OLD_PARTS = 5  # pickles at the beginning of a file from before torch 1.6
_NAMES = {
    "collections OrderedDict",
    *(f"torch._utils _rebuild_{what}" for what in ("tensor", "tensor_v2", "parameter")),
    *(f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int")),
    *(f"torch.cuda {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int")),
}


def read_pth(path: Path, largest: int) -> dict[str, Tensor]:
    """Read a state dict saved by `torch.save`, alone or as "state_dict" among what a training kept.

    Args:
        path: the file.
        largest: so many bytes it may have.

    Returns:
        Dense tensors by name, on the CPU.

    Raises:
        UserError: if there is no such file, it is damaged or larger, or holds anything but such tensors.
    """
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    if path.stat().st_size > largest:
        raise UserError(f"{path} is larger than any weights of this network: over {largest / 2**20:,.0f} MiB")
    try:
        zipped = _look_through(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:
        raise UserError(f"{path} is no whole file of tensors alone: {type(error).__name__}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # what many training scripts save, with the epoch beside it
    if not isinstance(state, dict) or not all(isinstance(n, str) and _plain(t) for n, t in state.items()):
        raise UserError(f"{path} holds more than tensors by name; save the model's state_dict() alone")
    return state


def _plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"


def _look_through(path: Path) -> bool:
    """Raise `ValueError` for what `torch.load` should not see; return whether the file is a zip archive."""
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        if zipped:
            with zipfile.ZipFile(file) as archive:
                if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                    raise ValueError("torch.save compresses nothing")
                pickles = [part for part in archive.infolist() if part.filename.endswith("data.pkl")]
                names = set().union(*(names_in(archive.read(part), _MOST_ACTS) for part in pickles))
        else:
            names = set().union(*(names_in(file, _MOST_ACTS) for _ in range(_OLD_PARTS)))
    if names - _NAMES:
        raise ValueError("it names more than tensors need")
    return zipped
