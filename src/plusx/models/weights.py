"""Weights on disk: safetensors that say which network they belong to, and public checkpoints by name."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from plusx.errors import UserError
from plusx.files import write_whole
from plusx.models.card import Card
from plusx.models.public import read_pth
from plusx.models.registry import create_model

WEIGHTS_FILE = "model.safetensors"
PRETRAINED = {"cifar10": Path(__file__).parent / "pretrained" / "cifar10.safetensors"}
"""Networks that come with the package, by name; the model card beside each says how it was trained."""
MOST_TENSORS = 10_000


def save_weights(path: Path, model: nn.Module, card: Card) -> None:
    """Write the network's state and its card to one safetensors file, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_whole(path, save(state, metadata={"plusx": card.to_json()}))


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
    path = _file_of(Path(run_or_file))
    card, state = _read(path)
    if card is None:
        raise UserError(
            f"{path} does not say which network it is; in Python: plusx.models.load_state(model, tensors)"
        )
    if into is None:
        # There a network takes no memory, however large a stranger's card makes it.
        with torch.device("meta"):
            _refuse_misfit(path, card, _build(card), state)
        into = _build(card)
    _refuse_misfit(path, card, into, state)
    into.load_state_dict(state)
    into.card = card  # type: ignore[assignment]
    return into.eval()


def _build(card: Card) -> nn.Module:
    return create_model(card.model, num_classes=len(card.classes), residual=card.residual)


def _refuse_misfit(path: Path, card: Card, model: nn.Module, state: dict[str, Tensor]) -> None:
    wrong = _misfits(model.state_dict(), state)
    if wrong:
        raise UserError(
            f"{path} does not fit the {card.model!r} that it names: {len(wrong)} tensors are missing, "
            f"unknown or of another shape, first {wrong[0]!r}; use another copy"
        )


def _misfits(own: dict[str, Tensor], state: dict[str, Tensor]) -> list[str]:
    """The names of tensors that are missing, unknown or of another shape."""
    expected, found = ({name: tensor.shape for name, tensor in side.items()} for side in (own, state))
    return sorted(name for name in expected.keys() | found if expected.get(name) != found.get(name))


def begin_from(model: nn.Module, run_or_file: str | Path, classes: tuple[str, ...] = ()) -> Card | None:
    """Take over a trained network's weights, all but a head for other classes.

    Args:
        model: changed in place; its last linear layer keeps its fresh weights where the classes differ.
        run_or_file: a run, a weights file of plusx, the name of a network that comes with the package; or a
            public checkpoint of the same architecture, `.safetensors` or `.pth`, under torchvision's names.
        classes: the model's, in order. A public checkpoint names none: there their number decides.

    Returns:
        The file's card, which says how its pictures were normalised; None for a public checkpoint.

    Raises:
        UserError: if there are no weights, or other tensors than the head's don't fit.
    """
    own, path = model.state_dict(), Path(run_or_file)
    card: Card | None = None
    if path.suffix in (".pth", ".pt", ".th"):
        # A head for more classes and what training kept beside the weights make it larger, but not by more.
        state = read_pth(path, largest=4 * sum(tensor.nbytes for tensor in own.values()) + 2**26)
    else:
        card, state = _read(_file_of(path))
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    head = {name for name in list(own)[-2:] if name.startswith(("fc.", "linear."))}
    fits = all(name in state and own[name].shape == state[name].shape for name in head)
    if not fits or (card is not None and classes and card.classes != classes):
        state = {name: own[name] for name in head} | {n: t for n, t in state.items() if n not in head}
    # Checkpoints from before batches were counted lack the counters.
    state = {name: own[name] for name in own if name.endswith("num_batches_tracked")} | state
    wrong = _misfits(own, state)
    if wrong:
        raise UserError(
            f"{run_or_file} holds another network: {len(wrong)} tensors are missing, unknown or of another "
            f"shape, first {wrong[0]!r}; train the recipe whose model it is"
        )
    model.load_state_dict(state)
    return card


def comes_with_plusx(run_or_file: str | Path) -> bool:
    """Whether this names a network of the package; a folder of pictures may be called the same.

    >>> comes_with_plusx("cifar10"), comes_with_plusx("runs/fast-seed0")
    (True, False)
    """
    path = Path(run_or_file)
    return str(path) in PRETRAINED and not (path.is_file() or (path / WEIGHTS_FILE).exists())


def _file_of(path: Path) -> Path:
    """The weights file of a run or of a network that comes with the package; any other path as it is."""
    if comes_with_plusx(path):
        return PRETRAINED[str(path)]
    if path.is_dir():
        if not (path / WEIGHTS_FILE).exists():
            raise UserError(f"{path} has no {WEIGHTS_FILE}; give a finished run or a weights file")
        return path / WEIGHTS_FILE
    return path


def _read(path: Path) -> tuple[Card | None, dict[str, Tensor]]:
    """The card, if there is one, and the tensors, which stay in the file until they are used."""
    if not path.is_file():
        raise UserError(f"there is no weights file {path}; give a run directory or a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            if len(names) > MOST_TENSORS:
                raise ValueError(f"{len(names):,} tensors")
            metadata: dict[str, str] = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, MemoryError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} is not a whole safetensors file: {error}") from error
    if "plusx" not in metadata:
        return None, state
    try:
        return Card.from_json(metadata["plusx"]), state
    except ValueError as error:
        raise UserError(f"{path} has a damaged card ({error}); use another copy") from error


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
