"""The running statistics of batch normalisation, over several batches, against `torch.nn.BatchNorm2d`."""

import pytest
import torch

import plusx

BATCHES = 3


@pytest.mark.parametrize("engine", plusx.ops.ENGINES)
@pytest.mark.parametrize("momentum", [0.1, 0.6, 1.0, None])
def test_running_statistics_follow_torch(engine, momentum):
    ours = plusx.nn.BatchNorm2d(2, momentum=momentum, engine=engine).double()
    twin = torch.nn.BatchNorm2d(2, momentum=momentum).double()
    with torch.no_grad():
        for scale in range(1, BATCHES + 1):
            x = scale * torch.randn(2, 2, 3, 3, dtype=torch.float64) + scale
            torch.testing.assert_close(ours(x), twin(x))
            torch.testing.assert_close(ours.state_dict(), twin.state_dict())
        torch.testing.assert_close(ours.eval()(x), twin.eval()(x))
    assert ours.num_batches_tracked == BATCHES


def test_momentum_none_is_the_plain_average_of_the_batches():
    layer = plusx.nn.BatchNorm2d(1, momentum=None)
    batches = torch.randn(4, 5, 1, 3, 3)
    for x in batches:
        layer(x)
    torch.testing.assert_close(layer.running_mean, batches.mean().reshape(1))
    torch.testing.assert_close(layer.running_var, batches.flatten(1).var(1).mean().reshape(1))


@pytest.mark.parametrize("engine", plusx.ops.ENGINES)
def test_without_running_statistics_the_batch_normalises_in_evaluation_too(engine):
    layer = plusx.nn.BatchNorm2d(2, track_running_stats=False, affine=False, engine=engine).eval()
    assert not layer.state_dict()
    y = layer(5 * torch.randn(4, 2, 3, 3, dtype=torch.float64) + 7)
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(2, dtype=y.dtype))
    torch.testing.assert_close(
        y.var((0, 2, 3), correction=0), torch.ones(2, dtype=y.dtype), atol=1e-4, rtol=0
    )


def test_evaluation_leaves_the_statistics_alone():
    layer = plusx.nn.BatchNorm2d(2).eval()
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    layer(torch.randn(4, 2, 3, 3))
    torch.testing.assert_close(dict(layer.state_dict()), before, rtol=0, atol=0)


def test_statistics_switched_off_later_stand_still():
    layer = plusx.nn.BatchNorm2d(2)
    layer.track_running_stats = False
    layer(torch.randn(4, 2, 3, 3) + 3)
    assert torch.equal(layer.running_mean, torch.zeros(2))
    assert layer.num_batches_tracked == 0
