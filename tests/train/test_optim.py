import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plusx.errors import UserError
from plusx.models import create_model
from plusx.train.optim import Muon, make_optimizers, orthogonalise, set_rates
from plusx.train.recipe import Optimizer
from plusx.train.schedule import factor


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_every_parameter_is_stepped_or_refused(name) -> None:
    model = torch.nn.Module()
    for k, shape in enumerate([(), (4,), (4, 1, 1), (1, 4, 1, 1), (4, 3), (4, 1, 1, 1), (4, 3, 3, 3)]):
        model.register_parameter(f"p{k}", torch.nn.Parameter(torch.zeros(shape)))
    optimizers = make_optimizers(model, Optimizer(name=name, weight_decay=0.01))
    stepped = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(map(id, stepped)) == sorted(map(id, model.parameters()))
    if name == "sgd":
        decayed = [p for g in optimizers[0].param_groups if g["weight_decay"] for p in g["params"]]
        assert sorted(map(id, decayed)) == sorted(map(id, (model.p4, model.p5, model.p6)))
    model.register_parameter("positions", torch.nn.Parameter(torch.zeros(1, 9, 4)))
    with pytest.raises(UserError, match=r"parameter positions of shape \(1, 9, 4\) is no filter"):
        make_optimizers(model, Optimizer(name=name))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 1000))
def test_orthogonalise_keeps_singular_vectors_and_evens_out_values(
    rows: int, columns: int, seed: int
) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    # In the singular basis of the input the output must be diagonal: only the singular values may change.
    inside = u.T @ orthogonalise(matrix[None], steps=5)[0] @ vh.T
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), atol=1e-6, rtol=0)
    large = s / s.norm() > 0.05
    assert (inside.diagonal()[large] > 0.3).all()
    assert (inside.diagonal() < 1.3).all()


def test_muon_takes_the_step_that_its_docstring_promises() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 4, 3, 3, dtype=torch.float64))
    start = weight.detach().clone()
    optimizer = Muon([weight], lr=0.2, momentum=0.6, dtype=torch.float64)
    momentum = torch.zeros_like(start)
    for _ in range(3):
        gradient = torch.randn_like(start)
        weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.6 * momentum + gradient
        direction = orthogonalise((gradient + 0.6 * momentum).reshape(1, 6, 36)).reshape(6, 4, 3, 3)
        start = start * math.sqrt(6) / start.norm() - 0.2 * direction
        torch.testing.assert_close(weight.detach(), start)


def test_muon_steps_each_of_several_filter_banks_as_if_it_were_alone() -> None:
    torch.manual_seed(0)
    shapes = [(6, 4, 3, 3), (5, 6, 3, 3), (6, 4, 3, 3), (5, 6, 1, 1)]
    together = [torch.nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in shapes]
    alone = [torch.nn.Parameter(weight.detach().clone()) for weight in together]
    for weight in together[:3]:  # the last has no gradient
        weight.grad = torch.randn_like(weight)
    for weight, twin in zip(together, alone, strict=True):
        twin.grad = weight.grad
        Muon([twin], lr=0.2, momentum=0.6, dtype=torch.float64).step()
    untouched = together[3].detach().clone()
    Muon(together, lr=0.2, momentum=0.6, dtype=torch.float64).step()
    torch.testing.assert_close(together, alone)
    assert torch.equal(together[3], untouched)


def test_filters_of_zeros_stay_numbers() -> None:
    weight = torch.nn.Parameter(torch.zeros(4, 3, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    Muon([weight], lr=0.2, momentum=0.6).step()
    assert weight.isfinite().all()
    assert weight.norm() > 0.1


def test_every_trained_parameter_is_stepped_exactly_once() -> None:
    for name, kind in [("fast", "muon"), ("resnet20", "sgd"), ("resnet20", "muon")]:
        model = create_model(name)
        stepped = [
            p
            for o in make_optimizers(model, Optimizer(name=kind))
            for g in o.param_groups
            for p in g["params"]
        ]
        assert len({id(p) for p in stepped}) == len(stepped)
        assert {id(p) for p in stepped} == {id(p) for p in model.parameters() if p.requires_grad}


def test_biases_and_norms_are_not_decayed_under_sgd() -> None:
    (optimizer,) = make_optimizers(create_model("resnet20"), Optimizer(weight_decay=5e-4))
    for group in optimizer.param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}


def test_set_rates_is_relative_to_the_recipes_rate() -> None:
    optimizers = make_optimizers(create_model("fast"), Optimizer(name="muon", learning_rate=0.2))
    for share in (0.5, 0.25, 1.0):
        set_rates(optimizers, share)
        assert optimizers[0].param_groups[0]["lr"] == pytest.approx(0.2 * share)


SHAPES = st.sampled_from(["linear", "cosine", "constant"])


@given(SHAPES, st.floats(0, 0.9), st.floats(0, 1), st.floats(0.1, 5))
def test_schedules_stay_between_zero_and_one(shape: str, warmup: float, done: float, power: float) -> None:
    assert -1e-12 <= factor(shape, done, warmup, power) <= 1 + 1e-12


@pytest.mark.parametrize("power", [1.0, 1.3])
@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_schedules_rise_then_fall_to_zero(shape: str, power: float) -> None:
    values = [factor(shape, p / 100, 0.2, power) for p in range(101)]
    assert values[0] == 0
    assert max(values) == values[20] == 1
    assert values[20:] == sorted(values[20:], reverse=True)
    assert values[-1] == pytest.approx(0)
    assert values[60] == pytest.approx(0.5**power)
