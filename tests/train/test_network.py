"""The network before its first step: what it begins with, what stays frozen, how it is fed."""

import pytest
import torch
from safetensors.torch import save_file

import plusx
from plusx.data import Dataset, load
from plusx.errors import UserError
from plusx.train.fitting import scaled
from plusx.train.network import IMAGENET_MEAN, IMAGENET_STD, frozen_part, prepare
from plusx.train.optim import make_optimizers
from plusx.train.recipe import Model, load_recipe


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load("sample")


def test_a_public_imagenet_checkpoint_keeps_its_own_normalisation(dataset, tmp_path) -> None:
    torch.manual_seed(0)
    public = plusx.create_model("resnet18", num_classes=1000)
    save_file(public.state_dict(), tmp_path / "resnet18.safetensors")
    feed = dataset.feed(torch.device("cpu"))
    settings = Model(name="resnet18", begin_from=str(tmp_path / "resnet18.safetensors"))
    model, card = prepare(settings, feed, dataset.classes, None)
    assert (card.mean, card.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert torch.equal(model.layer4[1].conv2.weight, public.layer4[1].conv2.weight)
    assert model.fc.out_features == 10
    _, fresh = prepare(Model(name="resnet18"), feed, dataset.classes, None)
    pictures = torch.from_numpy(dataset.train_images).double() / 255
    torch.testing.assert_close(torch.tensor(fresh.mean).double(), pictures.mean((0, 1, 2)))
    torch.testing.assert_close(torch.tensor(fresh.std).double(), pictures.std((0, 1, 2), unbiased=False))


@pytest.mark.parametrize(("name", "last"), [("fast", "stage1"), ("resnet20", "stem")])
def test_what_is_frozen_keeps_weights_and_statistics(name: str, last: str, trainer, tiny, tmp_path) -> None:
    settings = {"name": name, "model__freeze": last, "training__epochs": 1, "training__small_size": 16}
    made = trainer(tiny(**settings), tmp_path / "run")
    before = {key: value.clone() for key, value in made.model.state_dict().items()}
    made.train()
    frozen = {"fast": ("whiten", "shrink1", "block1"), "resnet20": ("conv1", "bn1")}[name]
    for key, value in made.model.state_dict().items():
        kept = key.split(".")[0] in frozen
        if value.is_floating_point() and (kept or key.endswith(("conv1.weight", "conv2.weight"))):
            assert torch.equal(value, before[key]) == kept, key


def test_only_a_stage_can_be_frozen() -> None:
    for wrong in ("linear", "stage9"):
        with pytest.raises(UserError, match="choose one of stem, stage1, stage2, stage3, or nothing"):
            frozen_part(plusx.create_model("resnet20"), wrong)


@pytest.mark.parametrize("name", ["fast", "resnet20"])
def test_the_head_has_a_rate_of_its_own(name: str) -> None:
    recipe = load_recipe(name, {"optimizer.head_learning_rate": 0.5})
    model = plusx.create_model(name)
    rates = {
        id(parameter): group["lr"]
        for optimizer in make_optimizers(model, recipe.optimizer)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert rates[id(model.linear.weight)] == 0.5
    others = {rates[id(p)] for n, p in model.named_parameters() if p.ndim == 4 and p.requires_grad}
    assert others == {recipe.optimizer.learning_rate}
    assert len(rates) == sum(p.requires_grad for p in model.parameters())


def test_with_all_filters_frozen_the_head_alone_is_trained() -> None:
    model = plusx.create_model("fast")
    frozen_part(model, "stage3")
    (optimizer,) = make_optimizers(model, load_recipe("fast").optimizer)
    assert [p for group in optimizer.param_groups for p in group["params"]] == [model.linear.weight]


def test_a_scaled_batch_scales_the_rates_of_sgd_alone() -> None:
    by_sgd = load_recipe("resnet20", {"training.scale_batch": True, "optimizer.head_learning_rate": 0.3})
    by_muon = load_recipe("fast", {"training.scale_batch": True})
    assert scaled(by_sgd, 3).training.batch_size == 3 * by_sgd.training.batch_size
    assert scaled(by_sgd, 3).optimizer.learning_rate == pytest.approx(3 * by_sgd.optimizer.learning_rate)
    assert scaled(by_sgd, 3).optimizer.head_learning_rate == pytest.approx(0.9)
    assert scaled(by_muon, 3).training.batch_size == 3 * by_muon.training.batch_size
    assert scaled(by_muon, 3).optimizer == by_muon.optimizer
    assert scaled(by_sgd, 1).training.batch_size == by_sgd.training.batch_size
    for processes in (1, 3):
        assert scaled(scaled(by_sgd, processes), 3) == scaled(by_sgd, processes)  # a written recipe stays
    assert scaled(load_recipe("resnet20"), 3) == load_recipe("resnet20")


def test_tensorboard_keeps_the_journal_s_figures(trainer, tiny, tmp_path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer(tiny(training__log="tensorboard", data__validation=100), tmp_path / "run").train()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) >= {"loss/train", "accuracy/validation", "learning rate"}
    assert [event.step for event in events.Scalars("loss/validation")] == [1, 2]
    assert [event.step for event in events.Scalars("accuracy/test")] == [2]
