"""A training step, plain and recorded, and how seldom the loop may look at what steps compute."""

import copy
import json
from pathlib import Path

import pytest
import torch

from plusx.models import create_model
from plusx.ops import gpu
from plusx.train import Interrupted, load_recipe
from plusx.train.optim import make_optimizers, rates_on, set_rates
from plusx.train.step import PlainStep, RecordedStep, Taken


def losses(run: Path) -> list[float]:
    return [json.loads(line)["train_loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def test_looking_only_at_the_end_of_an_epoch_changes_nothing(tiny, trainer, tmp_path, monkeypatch) -> None:
    trainer(tiny(), tmp_path / "often").train()
    looks = []
    seldom = trainer(tiny(), tmp_path / "seldom")
    monkeypatch.setattr(seldom, "_wants_to_look", lambda looked: False)
    look = seldom._look
    monkeypatch.setattr(
        seldom, "_look", lambda taken, saved: (looks.append(len(taken)), look(taken, saved))[1]
    )
    seldom.train()
    assert looks == [seldom.plan.steps_per_epoch] * seldom.recipe.training.epochs
    assert losses(tmp_path / "seldom") == losses(tmp_path / "often")
    weights = [tmp_path / name / "model.safetensors" for name in ("often", "seldom")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_loss_that_is_no_number_is_told_from_its_neighbours(tiny, trainer, tmp_path, monkeypatch) -> None:
    made = trainer(tiny(), tmp_path / "run")
    made.position.step = 5
    good, bad = torch.tensor([1.0, 3.0]), torch.tensor([torch.nan, 3.0])
    with pytest.raises(Exception, match="became nan in epoch 1, step 4"):
        made._look([Taken(result, 100, 100) for result in (good, bad, good)], 0.0)


def test_a_share_scales_the_gradient_and_not_the_loss() -> None:
    x, labels = torch.randn(8, 3, 8, 8), torch.arange(8) % 10
    results, steps = [], []
    for share in (1.0, 0.5):
        torch.manual_seed(0)
        model = create_model("resnet20")
        before = model.conv1.weight.detach().clone()
        step = PlainStep(model, [torch.optim.SGD(model.parameters(), lr=0.1)], torch.float32, 0.0)
        results.append(step(x, labels, share))
        steps.append(model.conv1.weight.detach() - before)
        assert all(p.grad is None for p in model.parameters())
    assert torch.equal(*results)
    torch.testing.assert_close(steps[0] / 2, steps[1])


@on_gpu
def test_a_recorded_step_takes_the_plain_steps_steps_at_every_rate_and_shape() -> None:
    device, settings = torch.device("cuda"), load_recipe("fast").optimizer
    torch.manual_seed(0)
    first = create_model("fast").to(device).to(memory_format=torch.channels_last)
    second = copy.deepcopy(first)
    steps, optimizers = [], []
    for model in (first, second):
        optimizers.append(make_optimizers(model, settings))
        rates_on(device, optimizers[-1])
        steps.append(PlainStep(model, optimizers[-1], torch.float32, 0.2))
    steps[1] = RecordedStep(steps[1])
    for k in range(8):
        size = 16 if k < 4 else 32
        x = torch.randn(64, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, 10, (64,), device=device)
        for each in optimizers:
            set_rates(each, 1 - k / 8)
        with (
            gpu.prefer_kernels(),
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
        ):
            plain, recorded = (step(x, labels, 1) for step in steps)
        torch.testing.assert_close(recorded, plain, rtol=1e-2, atol=1e-2)
    assert len(steps[1].graphs) == 2
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        # Muon makes full steps of small gradients, and with them of their rounding.
        assert (a - b).norm() <= 0.03 * a.norm()


@on_gpu
@pytest.mark.parametrize("settings", [{}, {"name": "resnet20", "training__averaging": 0.9}])
def test_a_run_on_a_gpu_is_the_processors_run_but_for_rounding(settings, tiny, trainer, tmp_path) -> None:
    for name in ("cpu", "cuda"):
        recipe = tiny(training__device=name, training__precision="float32", **settings)
        trainer(recipe, tmp_path / name).train()
    assert losses(tmp_path / "cuda") == pytest.approx(losses(tmp_path / "cpu"), rel=0.05)


@on_gpu
def test_a_run_on_a_gpu_goes_on_from_a_checkpoint(tiny, trainer, stop_in, tmp_path) -> None:
    recipe = tiny(name="resnet20", training__device="cuda", training__precision="float32")
    trainer(recipe, tmp_path / "whole").train()
    first = trainer(recipe, tmp_path / "parts")
    stop_in(first, 3)
    with pytest.raises(Interrupted):
        first.train()
    trainer(recipe, tmp_path / "parts").train()
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=0.05)


def test_what_a_checkpoint_brings_back_lies_in_memory_as_before(tiny, trainer, tmp_path) -> None:
    first = trainer(tiny(name="resnet20"), tmp_path / "run")
    first.train()
    again = trainer(tiny(name="resnet20"), tmp_path / "run")
    again._go_on_from_checkpoint()
    (before,), (after,) = first.optimizers, again.optimizers
    for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True):
        buffers = [optimizer.state[p]["momentum_buffer"] for optimizer, p in ((before, a), (after, b))]
        assert torch.equal(*buffers)
        assert buffers[0].stride() == buffers[1].stride()
