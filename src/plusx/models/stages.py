"""A network as its stages: the stem, then a stage for each size of map. The same for all families."""

from torch import nn


def stages(network: nn.Module) -> dict[str, tuple[nn.Module, ...]]:
    """The parts of a network by name: "stem", "stage1", "stage2", …, in the order they run; not the head.

    The last module of a stage gives its output; together they hold all of the stage's parameters.

    Args:
        network: as `create_model` builds it.

    Raises:
        TypeError: if the network does not say what its stages are.

    >>> from plusx.models import create_model
    >>> list(stages(create_model("resnet20")))
    ['stem', 'stage1', 'stage2', 'stage3']
    >>> [type(module).__name__ for module in stages(create_model("fast"))["stage2"]]
    ['Shrink', 'BasicBlock']
    """
    names: dict[str, tuple[str, ...]] | None = getattr(network, "stages", None)
    if names is None:
        raise TypeError(f"{type(network).__name__} has no `stages`: the names of the modules of each")
    return {name: tuple(map(network.get_submodule, modules)) for name, modules in names.items()}
