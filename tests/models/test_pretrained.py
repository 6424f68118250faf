"""The network that comes with the package."""

import numpy as np
import pytest
import torch

import plusx
from plusx.inference import predict, score
from plusx.models import PRETRAINED


@pytest.mark.parametrize("name", PRETRAINED)
def test_it_is_small_and_has_a_model_card(name: str) -> None:
    assert PRETRAINED[name].stat().st_size < 10_000_000
    card = PRETRAINED[name].with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "seed" in card


def test_it_names_real_pictures_and_doubts_noise() -> None:
    model = plusx.load("cifar10")
    dataset = plusx.data.load("sample")
    _, accuracy = score(predict(model, dataset.test_images, model.card), dataset.test_labels)
    assert accuracy > 0.85  # of 200 pictures; 93 % of 10 000
    noise = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    surest = predict(model, noise, model.card).max(1).values
    assert (surest < model.card.doubt).float().mean() > 0.9
    assert all(p.dtype == torch.float32 for p in model.parameters())
