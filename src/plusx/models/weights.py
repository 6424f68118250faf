"""Weights on disk: safetensors that say which network they belong to, and public checkpoints by name."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from plusx.errors import UserError
from plusx.files import write_whole
from plusx.models.registry import create_model

WEIGHTS_FILE = "model.safetensors"
PRETRAINED = {"cifar10": Path(__file__).parent / "pretrained" / "cifar10.safetensors"}
"""Networks that come with the package, by name; the model card beside each says how it was trained."""


@dataclass(frozen=True)
class Card:
    """What a weights file says of itself: enough to rebuild the network and to feed it.

    Attributes:
        model: a name that `create_model` knows.
        residual: False for the plain twin.
        classes: the class names, in the order of the logits.
        mean: channel means (R, G, B) of the training pictures, 0…1.
        std: channel standard deviations (R, G, B), 0…1.
        input_size: side of the pictures it was trained on, in pixels.
        doubt: probability, 0…1, below which an answer is doubtful; see `plusx.train.doubt_below`.
    """

    model: str
    residual: bool
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: int
    doubt: float = 0.0


def save_weights(path: Path, model: nn.Module, card: Card) -> None:
    """Write the network's state and its card to one safetensors file, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_whole(path, save(state, metadata={"plusx": TypeAdapter(Card).dump_json(card).decode()}))


def load(run_or_file: str | Path, into: nn.Module | None = None) -> nn.Module:
    """Rebuild a trained network from a run directory, from its `model.safetensors`, or by name.

    Args:
        run_or_file: one of them; "cifar10" is the network that comes with the package.
        into: the network to load into, changed in place; built from the file's card unless given.

    Returns:
        The network in evaluation mode, on the CPU; its `card` (see `Card`) says how to feed it.

    Raises:
        UserError: if there are no weights, they are damaged, or they don't say which network they are.
    """
    path = Path(run_or_file)
    if str(run_or_file) in PRETRAINED and not path.exists():
        path = PRETRAINED[str(run_or_file)]
    if path.is_dir():
        path = path / WEIGHTS_FILE
        if not path.exists():
            raise UserError(f"{path.parent} has no {WEIGHTS_FILE}; give a finished run or a weights file")
    card, state = _open(path)
    model = into or create_model(card.model, num_classes=len(card.classes), residual=card.residual)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in state.items()}
    wrong = sorted(name for name in expected.keys() | found if expected.get(name) != found.get(name))
    if wrong:
        raise UserError(
            f"{path} does not fit the {card.model!r} that it names: {len(wrong)} tensors are missing, "
            f"unknown or of another shape, first {wrong[0]!r}; use another copy"
        )
    model.load_state_dict(state)
    model.card = card  # type: ignore[assignment]
    return model.eval()


def _open(path: Path) -> tuple[Card, dict[str, Tensor]]:
    if not path.is_file():
        raise UserError(f"there is no weights file {path}; give a run directory or a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file: {error}") from error
    if "plusx" not in metadata:
        raise UserError(
            f"{path} does not say which network it is; in Python: plusx.models.load_state(model, tensors)"
        )
    try:
        return TypeAdapter(Card).validate_json(metadata["plusx"]), state
    except ValidationError as error:
        first = error.errors()[0]
        fault = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise UserError(f"{path} has a damaged card ({fault}); use another copy") from error


def load_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a public checkpoint's state dict, of either family, with or without `module.` before its names.

    Args:
        model: changed in place.
        state: tensors by name; the `module.` that data-parallel training leaves is dropped.

    Raises:
        RuntimeError: as torch's, listing the names that don't fit.

    >>> model = create_model("resnet20")
    >>> load_state(model, {f"module.{k}": v for k, v in model.state_dict().items()})
    """
    model.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
