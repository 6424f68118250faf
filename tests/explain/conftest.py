import numpy as np
import pytest
import torch
from torch import Tensor

import plusx
from plusx.inference import Classifier, normalise


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return plusx.load("cifar10")


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    return plusx.data.sample("test")[0][
        105
    ]  # a dog, no flat areas in which the maximum would be a matter of rounding


@pytest.fixture(scope="session")
def x(classifier: Classifier, image: np.ndarray) -> Tensor:
    card = classifier.card
    return normalise(torch.from_numpy(image[None]), torch.tensor(card.mean), torch.tensor(card.std))
