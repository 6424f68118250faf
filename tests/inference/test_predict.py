import numpy as np
import pytest
import torch

from plusx.inference import normalise, predict, score
from plusx.models import Card, create_model

CARD = Card("resnet20", True, tuple("abcdefghij"), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), 32)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_normalise_is_the_formula_pixel_by_pixel() -> None:
    images = pictures(2)
    out = normalise(torch.from_numpy(images), torch.tensor(CARD.mean), torch.tensor(CARD.std))
    for n, y, x, c in [(0, 0, 0, 0), (1, 5, 31, 2), (1, 31, 7, 1)]:
        by_hand = (images[n, y, x, c] / 255 - CARD.mean[c]) / CARD.std[c]
        assert out[n, c, y, x].item() == pytest.approx(by_hand, abs=1e-5)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("views", "count"), [("none", 1), ("mirror", 2), ("shift", 6)])
def test_views_average_the_logits_of_moved_pictures(views: str, count: int) -> None:
    seen: list[torch.Tensor] = []

    class Spy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.clone())
            return torch.stack([x.mean((1, 2, 3)), x[:, 0, 0, 0]], dim=1)

    images = pictures(3)
    rows = predict(Spy(), images, CARD, views=views)
    assert len(seen) == count
    torch.testing.assert_close(rows.sum(1), torch.ones(3))
    logits = torch.stack([torch.stack([x.mean((1, 2, 3)), x[:, 0, 0, 0]], dim=1) for x in seen]).mean(0)
    torch.testing.assert_close(rows, logits.softmax(1))
    if count > 1:
        assert torch.equal(seen[1], seen[0].flip(3))
    if count == 6:
        assert torch.equal(seen[2][:, :, 1:, 1:], seen[0][:, :, :-1, :-1])
        assert torch.equal(seen[4][:, :, :-1, :-1], seen[0][:, :, 1:, 1:])


def test_the_batch_size_does_not_change_the_answer() -> None:
    torch.manual_seed(0)
    model = create_model("resnet20").eval()
    images = pictures(10)
    whole, parts = predict(model, images, CARD), predict(model, images, CARD, batch_size=3)
    torch.testing.assert_close(whole, parts)


def test_large_pictures_are_taken_a_few_at_a_time() -> None:
    seen = []

    def network(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return torch.zeros(len(x), 2)

    images = np.zeros((50, 224, 224, 3), np.uint8)
    assert predict(network, images, CARD).shape == (50, 2)  # type: ignore[arg-type]
    assert seen == [20, 20, 10]


def test_score_against_a_count_by_hand() -> None:
    probabilities = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]])
    loss, accuracy = score(probabilities, np.array([0, 1, 1, 1]))
    assert accuracy == 0.75
    assert loss == pytest.approx(-np.log([0.7, 0.6, 0.1, 0.8]).mean(), abs=1e-6)
