"""Networks to take away: the one that comes with plusx, and fresh ones whose every layer does something."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import plusx
from plusx.export.graph import trace
from plusx.inference import Classifier
from plusx.models import Card


@pytest.fixture(scope="session")
def shipped() -> Classifier:
    return plusx.load("cifar10")


@pytest.fixture(scope="session")
def traced(shipped) -> Any:
    """Its graph: tracing takes seconds, so those who test what comes after it share one."""
    return trace(shipped)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return plusx.data.sample("test")[0]


@pytest.fixture(scope="session")
def training_images() -> np.ndarray:
    return plusx.data.sample("train")[0]


@pytest.fixture(scope="session")
def build() -> Callable[[str], Classifier]:
    """A classifier of three classes: running statistics that fit its weights, logits of variance 1."""

    @torch.no_grad()
    def made(name: str) -> Classifier:
        torch.manual_seed(0)
        network = plusx.create_model(name, num_classes=3)
        head = list(network.children())[-1]
        torch.nn.init.normal_(head.weight)
        x = torch.randn(16, 3, 32, 32)
        for _ in range(20):
            network(x)
        head.weight /= network.eval()(x).std(0).mean()
        card = Card(name, True, ("cat", "dog", "鸟"), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), 32, 0.4)
        return Classifier(network, card)

    return made
