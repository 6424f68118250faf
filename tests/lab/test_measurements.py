"""What single experiments compute, against values known from elsewhere; their verdicts on made-up numbers."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from plusx import nn
from plusx.data import load
from plusx.lab import EXPERIMENTS
from plusx.lab.convolution_trace import terms
from plusx.lab.degradation import NETWORKS
from plusx.lab.gradient_flow import NoNorm, gradients, network
from plusx.lab.identity_path import before_relu, block, finite_differences, jacobian
from plusx.lab.output_size import formula
from plusx.lab.padding import sizes_until_gone, windows_of_pixels
from plusx.lab.receptive_field import PARTS, STACKS, convolutions, extent, gradient_map, part
from plusx.lab.small_residuals import sizes, untrained
from plusx.lab.spatial_structure import shuffled
from plusx.lab.stride import share_read
from plusx.lab.translation import equivariance, shifted
from plusx.models import create_model, receptive_field
from plusx.train import load_recipe


def test_shuffling_keeps_every_pixel_and_one_order_for_all() -> None:
    dataset = load("sample")
    other = shuffled(dataset)
    assert not np.array_equal(other.train_images, dataset.train_images)
    for before, after in (
        (dataset.train_images, other.train_images),
        (dataset.test_images, other.test_images),
    ):
        pixels = [np.sort(images.reshape(len(images), -1, 3), axis=1) for images in (before, after)]
        assert np.array_equal(*pixels)


def test_shifting_moves_pixels_and_repeats_the_border() -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    assert np.array_equal(shifted(images, 1, 0)[:, 1:], images[:, :-1])
    assert np.array_equal(shifted(images, 0, -2)[:, :, :2], images[:, :, 2:])
    assert np.array_equal(shifted(images, 0, 3)[:, :, 0], images[:, :, 0])
    assert np.array_equal(shifted(images, 0, 0), images)


def test_convolution_is_equivariant_at_stride_1_only() -> None:
    images = load("sample").test_images[:4]
    x, moved = (
        torch.from_numpy(i.copy()).permute(0, 3, 1, 2).double() for i in (images, shifted(images, 0, 1))
    )
    found = equivariance(x, moved, torch.randn(2, 3, 3, 3, dtype=torch.float64))
    assert found["stride 1"] < 1e-9 < found["stride 2"]


def test_the_terms_add_up_to_torch_s_convolution() -> None:
    picture, kernel = (
        np.random.default_rng(0).normal(size=(6, 7, 3)),
        np.random.default_rng(1).normal(size=(3, 3, 3)),
    )
    y = F.conv2d(torch.tensor(picture).permute(2, 0, 1)[None], torch.tensor(kernel).permute(2, 0, 1)[None])
    assert terms(picture, kernel, 2, 3).sum() == pytest.approx(y[0, 0, 2, 3].item())


@pytest.mark.parametrize(("H", "K", "S", "P"), [(32, 3, 1, 1), (224, 7, 2, 3), (7, 2, 2, 0), (9, 5, 3, 2)])
def test_the_formula_gives_torch_s_size(H: int, K: int, S: int, P: int) -> None:
    assert (
        formula(H, K, S, P)
        == F.conv2d(torch.zeros(1, 1, H, H), torch.zeros(1, 1, K, K), None, S, P).shape[-1]
    )


def test_maps_shrink_by_two_and_pixels_are_counted() -> None:
    assert sizes_until_gone(32) == list(range(32, 0, -2))
    assert set(sizes_until_gone(32, padding=1)) == {32}
    for side, padding in ((6, 0), (6, 1)):
        unfolded = F.unfold(torch.ones(1, 1, side, side), 3, padding=padding)
        counted = F.fold(unfolded, (side, side), 3, padding=padding)[0, 0]
        assert np.array_equal(windows_of_pixels(side, padding), counted.numpy())


def test_stride_4_reads_what_three_of_four_rows_and_columns_leave() -> None:
    assert share_read(1) == share_read(2) == 1
    read = {row for p in range(8) for row in range(4 * p - 1, 4 * p + 2) if 0 <= row < 32}
    assert share_read(4) == pytest.approx((len(read) / 32) ** 2)


@pytest.mark.parametrize("name", STACKS)
def test_the_measured_field_is_the_computed_one(name: str) -> None:
    assert extent(gradient_map(STACKS[name])) == receptive_field(STACKS[name])


def test_equal_fields_and_equal_parameters_are_what_they_say() -> None:
    weights = {name: sum(c.weight.numel() for c in convolutions(part(*p))) for name, p in PARTS.items()}
    fields = {name: receptive_field([*convolutions(part(*p))]) for name, p in PARTS.items()}
    for large, count, field in (("5×5", "two", 5), ("7×7", "three", 7)):
        assert fields[large] == fields[f"{count} 3×3"] == fields[f"{count} 3×3, as many parameters"] == field
        assert weights[f"{count} 3×3, as many parameters"] == pytest.approx(weights[large], rel=0.03)
        assert weights[f"{count} 3×3"] < weights[large]


def test_the_jacobian_agrees_with_finite_differences() -> None:
    x = torch.randn(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    made = block()
    for function in (made, before_relu(made)):
        assert (jacobian(function, x) - finite_differences(function, x)).abs().max() < 1e-6


def test_gradients_are_those_of_the_blocks_outputs() -> None:
    torch.manual_seed(0)
    x, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    norms = gradients(network("resnet20", norm=True, factor=1.0), x, labels)
    assert len(norms) == 9
    model = network("resnet20", norm=True, factor=1.0)
    h = model.layer2(model.layer1(model.bn1(model.conv1(x), activation="relu"))).detach().requires_grad_()
    logits = model.linear(model.avgpool(model.layer3(h)).flatten(1))
    F.cross_entropy(logits, labels).backward()
    assert norms[5] == pytest.approx(h.grad.norm().item(), rel=1e-4)
    assert not any(
        isinstance(m, nn.BatchNorm2d) for m in network("plain20", norm=False, factor=1.0).modules()
    )
    y = torch.tensor([-1.0, 2.0])
    assert NoNorm()(y, added=y, activation="relu").tolist() == [0, 4]


def test_a_block_that_adds_nothing_has_no_residual() -> None:
    model = create_model("resnet20")
    for made in (m for m in model.modules() if hasattr(m, "bn2")):
        torch.nn.init.zeros_(made.bn2.weight)
    rows = sizes(model.eval(), torch.randn(2, 3, 32, 32))
    assert [row["ratio"] for row in rows] == [0.0] * 9
    assert sum(not row["identity"] for row in rows) == 2


def test_an_untrained_network_normalises_by_what_it_is_given() -> None:
    x = 3 * torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 1
    model = untrained("resnet20", x)
    torch.manual_seed(0)
    same = create_model("resnet20").train()
    with torch.no_grad():
        torch.testing.assert_close(model(x), same(x), rtol=0.02, atol=0.02)
    assert not model.training


def test_the_four_networks_are_trained_alike() -> None:
    recipes = [load_recipe(name).model_dump(exclude={"name", "model"}) for name in NETWORKS]
    assert all(recipe == recipes[0] for recipe in recipes)


def errors(plain20: float, plain56: float, resnet20: float, resnet56: float) -> dict[str, object]:
    values = dict(zip(NETWORKS, (plain20, plain56, resnet20, resnet56), strict=True))
    keys = ("final_train_error", "final_test_error")
    return {
        name: {key: [value, value] for key in keys} | {"test_error": [[value], [value]]}
        for name, value in values.items()
    }


def accuracies(dense: tuple[float, float], conv: tuple[float, float]) -> dict[str, object]:
    pairs = {"fully connected": dense, "convolutional": conv}
    return {name: {"in order": [a], "shuffled": [b]} for name, (a, b) in pairs.items()}


@pytest.mark.parametrize(
    ("name", "numbers", "verdict"),
    [
        ("degradation", errors(0.1, 0.2, 0.1, 0.09), "holds"),
        ("degradation", errors(0.1, 0.2, 0.1, 0.11), "holds with conditions"),
        ("degradation", errors(0.1, 0.09, 0.1, 0.09), "does not hold"),
        ("spatial-structure", accuracies((0.57, 0.56), (0.7, 0.5)), "holds"),
        ("spatial-structure", accuracies((0.57, 0.50), (0.7, 0.5)), "does not hold"),
        ("spatial-structure", accuracies((0.57, 0.56), (0.7, 0.65)), "does not hold"),
    ],
)
def test_the_rule_can_say_no(name: str, numbers: dict[str, object], verdict: str) -> None:
    assert EXPERIMENTS[name].judge(numbers).verdict == verdict
