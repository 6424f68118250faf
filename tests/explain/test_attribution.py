"""Grad-CAM and integrated gradients against their formulas, written out here."""

import copy
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plusx import ops
from plusx.data import sample
from plusx.errors import UserError
from plusx.explain import IntegratedGradients, grad_cam, integrated_gradients
from plusx.models import create_model, stages


def last_module(network: nn.Module) -> nn.Module:
    return [*stages(network).values()][-1][-1]


def grad_cam_by_hand(network: nn.Module, x: Tensor, target: int) -> Tensor:
    """relu(Σ_c mean(∂logit/∂A_c) · A_c), the map A fed to the network's own pooling and linear layer."""
    A = x
    for modules in stages(network).values():
        for module in modules:
            A = module(A, activation="relu") if isinstance(module, nn.BatchNorm2d) else module(A)
    A = A.detach().requires_grad_()
    pooled = A.amax((2, 3)) if hasattr(network, "whiten") else A.mean((2, 3))
    head = network.linear if hasattr(network, "linear") else network.fc
    (gradient,) = torch.autograd.grad(F.linear(pooled, head.weight, head.bias)[0, target], A)
    return torch.einsum("c,chw->hw", gradient[0].mean((1, 2)), A[0]).clamp(min=0).detach()


@pytest.mark.parametrize("target", [3, 5])
def test_grad_cam_of_the_shipped_network_is_its_formula(classifier, x: Tensor, target: int) -> None:
    network = classifier.network
    found = grad_cam(network, last_module(network), x, target)
    expected = grad_cam_by_hand(network, x, target).numpy()
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * expected.max())


@pytest.mark.parametrize(("name", "size"), [("resnet20", 32), ("plain20", 40), ("resnet18", 64)])
def test_grad_cam_of_the_other_families_is_its_formula(name: str, size: int) -> None:
    torch.manual_seed(0)
    network = create_model(name, num_classes=3).eval()
    x = torch.randn(1, 3, size, size)
    maps = [
        (grad_cam(network, last_module(network), x, c), grad_cam_by_hand(network, x, c)) for c in range(3)
    ]
    assert any(expected.any() for _, expected in maps)
    for found, expected in maps:
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-5 * float(expected.max() or 1))


def test_integrated_gradients_of_a_linear_network_are_weight_times_input() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2))
    x = torch.randn(1, 3, 4, 4)
    found = integrated_gradients(network, x, 1)
    expected = (network[1].weight[1].reshape(3, 4, 4) * x[0]).detach().numpy()
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert found.baseline_logit == pytest.approx(network[1].bias[1].item())
    assert found.is_complete
    assert found.steps == 64


def test_integrated_gradients_are_the_mean_gradient_on_the_way(classifier, x: Tensor) -> None:
    network = classifier.network
    found = integrated_gradients(network, x, 5)
    middles = (torch.arange(found.steps) + 0.5) / found.steps
    way = (middles[:, None, None, None] * x).requires_grad_()
    with ops.engine("native"):
        (gradients,) = torch.autograd.grad(network(way)[:, 5].sum(), way)
    expected = (gradients.mean(0) * x[0]).numpy()
    np.testing.assert_allclose(found.values, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("place", [0, 45, 105])
def test_integrated_gradients_sum_to_the_difference_of_the_logits(classifier, place: int) -> None:
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (classifier.card.mean, classifier.card.std))
    x = (torch.from_numpy(sample("test")[0][place]).permute(2, 0, 1) / 255 - mean) / std
    network = copy.deepcopy(classifier.network).double()
    with torch.no_grad():
        logits, plain = network(torch.stack([x, torch.zeros_like(x)]).double())
    target = int(logits.argmax())
    difference = float(logits[target] - plain[target])
    found = integrated_gradients(classifier.network, x[None], target)
    assert found.values.sum(dtype=float) == pytest.approx(difference, rel=0.0101)
    assert found.error == pytest.approx(abs(found.values.sum(dtype=float) - difference), abs=1e-3)
    assert found.is_complete


@pytest.mark.parametrize(
    ("difference", "complete"), [(10.0, True), (9.92, True), (9.85, False), (10.15, False)]
)
def test_completeness_is_within_one_per_cent(difference: float, complete: bool) -> None:
    found = IntegratedGradients(np.full((3, 1, 1), 10 / 3, np.float32), difference + 1, 1.0, 64)
    assert found.error == pytest.approx(abs(10 - difference), abs=1e-5)
    assert found.is_complete is complete


def test_steps_double_where_the_way_is_not_smooth_and_end_at_512() -> None:
    class Steep(nn.Module):
        """All of the difference lies in the last 1/5000 of the way."""

        def forward(self, x: Tensor) -> Tensor:
            return (5000 * (x.flatten(1).mean(1, keepdim=True) - 0.9998)).relu()

    found = integrated_gradients(Steep(), torch.ones(1, 3, 2, 2), 0)
    assert found.logit == pytest.approx(1, abs=1e-3)
    assert found.steps == 512
    assert not found.is_complete


def test_without_captum_it_says_how_to_get_it(classifier, x, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "captum"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UserError, match=r'needs captum, .* pip install "plusx\[explain\]"'):
        integrated_gradients(classifier.network, x, 0)


def test_a_network_with_shuffled_weights_explains_itself_differently(classifier) -> None:
    """The sanity check of Adebayo et al. 2018 (arXiv 1810.03292), beside a picture that hardly changed."""
    shuffled = copy.deepcopy(classifier.network)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in shuffled.parameters():
            order = torch.randperm(weight.numel(), generator=generator)
            weight.copy_(weight.flatten()[order].reshape(weight.shape))

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a.flatten(), b.flatten())[0, 1])

    def maps(network: nn.Module, x: Tensor, target: int) -> tuple[np.ndarray, np.ndarray]:
        return (
            grad_cam(network, last_module(network), x, target),
            integrated_gradients(network, x, target).values.sum(0),
        )

    same, other = [], []
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (classifier.card.mean, classifier.card.std))
    for picture in sample("test")[0][[65, 105]]:
        x = ((torch.from_numpy(picture).permute(2, 0, 1) / 255 - mean) / std)[None]
        target = int(classifier(x).argmax())
        trained = maps(classifier.network, x, target)
        noisy = maps(classifier.network, x + 0.02 * torch.randn(x.shape, generator=generator), target)
        untrained = maps(shuffled, x, target)
        same.append([correlation(a, b) for a, b in zip(trained, noisy, strict=True)])
        other.append([correlation(a, b) for a, b in zip(trained, untrained, strict=True)])
    (same_cam, same_gradients), (other_cam, other_gradients) = np.mean(same, 0), np.mean(other, 0)
    assert same_cam > 0.95
    assert same_gradients > 0.5
    assert abs(other_cam) < 0.4
    assert abs(other_gradients) < 0.2
