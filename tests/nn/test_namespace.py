"""A model written for `torch.nn` runs with `plusx.nn` in its place."""

from types import ModuleType

import pytest
import torch

import plusx


def network(nn: ModuleType) -> torch.nn.Module:
    """What a user might write who has never heard of plusx."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(
                nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
            )
            self.depthwise = nn.Conv2d(8, 8, kernel_size=3, padding="same", groups=8)
            self.scale = nn.Parameter(torch.full((1, 8, 1, 1), 0.5))
            self.pools = nn.ModuleList([nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2, ceil_mode=True)])
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Dropout(0.0), nn.Linear(32, 5), nn.GELU()
            )
            nn.init.kaiming_normal_(self.depthwise.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            x = nn.functional.relu(x + self.scale * self.depthwise(x))
            for pool in self.pools:
                x = pool(x)
            return self.head(x)

    return Net().double()


@pytest.mark.parametrize("engine", ["handmade", "native"])
def test_the_same_source_gives_the_same_network(engine):
    twin, ours = network(torch.nn), network(plusx.nn)
    ours.load_state_dict(twin.state_dict())
    x, target = torch.randn(2, 3, 13, 11, dtype=torch.float64), torch.tensor([1, 4])
    losses = [torch.nn.CrossEntropyLoss(label_smoothing=0.1)(twin(x), target)]
    with plusx.engine(engine):
        losses.append(plusx.nn.CrossEntropyLoss(label_smoothing=0.1)(ours(x), target))
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[1], losses[0])
    for (name, parameter), expected in zip(ours.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, msg=lambda m, name=name: f"{name}: {m}")
    torch.testing.assert_close(dict(ours.state_dict()), dict(twin.state_dict()))
    torch.testing.assert_close(ours.eval()(x), twin.eval()(x))


def test_what_is_not_made_here_is_torchs_own():
    assert plusx.nn.Dropout is torch.nn.Dropout
    assert plusx.nn.functional is torch.nn.functional
    with pytest.raises(AttributeError, match="Conv9d"):
        plusx.nn.Conv9d  # noqa: B018


@pytest.mark.parametrize(
    "name", ["Conv2d", "MaxPool2d", "AvgPool2d", "BatchNorm2d", "Linear", "ReLU", "Hardswish"]
)
def test_what_is_made_here_is_not_torchs(name):
    assert getattr(plusx.nn, name).__module__.startswith("plusx.nn")
