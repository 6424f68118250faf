import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plusx.data import Augmentation, Draws, cutout, mirror, reflect_crop, shrink
from plusx.data.policy import trivial
from plusx.data.resize import resized_crop

CHANNELS_LAST = torch.channels_last


def slow(pictures: np.ndarray, draws: Draws, crop: int, size: int) -> np.ndarray:
    """What augmentation means, one picture after another."""
    out = []
    for n, picture in enumerate(pictures):
        height, width = picture.shape[1:]
        if draws.offsets is not None:
            row, column = draws.offsets[n].tolist()
            padded = np.pad(picture, ((0, 0), (crop, crop), (crop, crop)), mode="reflect")
            picture = padded[:, row : row + height, column : column + width]
        if draws.mirrored is not None and draws.mirrored[n]:
            picture = picture[:, :, ::-1]
        picture = picture.copy()
        if draws.centers is not None:
            top, left = (center - size // 2 for center in draws.centers[n].tolist())
            picture[:, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0
        out.append(picture)
    return np.stack(out) if out else pictures


@given(
    st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(["none", "random", "alternating"]),
    st.data(),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.uint8]),
)
def test_equals_the_slow_loop(shape, how, data, channels_last, dtype):
    crop = data.draw(st.integers(0, min(shape[2:]) - 1))
    size = data.draw(st.integers(0, 10))
    seed, epoch = data.draw(st.tuples(st.integers(0, 2**63), st.integers(0, 1000)))
    augmentation = Augmentation(how, crop, size)
    draws = augmentation.draw(shape[0], *shape[2:], seed=seed, epoch=epoch)
    values = torch.arange(1, 1 + int(np.prod(shape))).reshape(shape) % 251
    pictures = values.to(dtype, memory_format=CHANNELS_LAST if channels_last else torch.contiguous_format)
    result = augmentation(pictures, draws)
    assert result.dtype == dtype
    expected = slow(pictures.double().numpy(), draws, crop, size)
    np.testing.assert_array_equal(result.double().numpy(), expected)


def test_each_piece_alone_equals_the_slow_loop():
    pictures = torch.randn(6, 3, 8, 10)
    offsets = torch.randint(7, (6, 2))
    mirrored = torch.tensor([True, False] * 3)
    centers = torch.tensor([[0, 0], [7, 9], [4, 4], [0, 9], [7, 0], [3, 2]])
    for result, draws in (
        (reflect_crop(pictures, offsets, 3), Draws(offsets=offsets)),
        (mirror(pictures, mirrored), Draws(mirrored=mirrored)),
        (cutout(pictures, centers, 5), Draws(centers=centers)),
    ):
        np.testing.assert_array_equal(result.numpy(), slow(pictures.numpy(), draws, 3, 5))
        assert result.is_contiguous(memory_format=CHANNELS_LAST)


def test_the_crop_equals_torch_s_padding():
    pictures = torch.randn(25, 3, 32, 32)
    offsets = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    padded = torch.nn.functional.pad(pictures, (2, 2, 2, 2), mode="reflect")
    expected = torch.stack(
        [padded[n, :, r : r + 32, c : c + 32] for n, (r, c) in enumerate(offsets.tolist())]
    )
    assert torch.equal(reflect_crop(pictures, offsets, 2), expected)


def test_the_input_stays_as_it_is():
    pictures = torch.randn(4, 3, 8, 8)
    before = pictures.clone()
    augmentation = Augmentation("random", crop=2, cutout=3)
    augmentation(pictures, augmentation.draw(4, 8, 8, seed=0, epoch=0))
    assert torch.equal(pictures, before)


@pytest.mark.parametrize("how", ["random", "alternating"])
def test_draws_are_a_function_of_seed_and_epoch(how):
    def drawn(seed: int, epoch: int) -> list[int]:
        torch.manual_seed(epoch)  # the surrounding state of chance has no say
        draws = Augmentation(how, crop=2, cutout=4).draw(100, 32, 32, seed=seed, epoch=epoch)
        return [
            *draws.offsets.flatten().tolist(),
            *draws.mirrored.tolist(),
            *draws.centers.flatten().tolist(),
        ]

    assert drawn(1, 2) == drawn(1, 2)
    assert len({tuple(drawn(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16


def test_draws_are_spread_evenly():
    draws = Augmentation("random", crop=2, cutout=4).draw(100_000, 8, 16, seed=0, epoch=0)
    for values, options in (
        (draws.offsets[:, 0], 5),
        (draws.offsets[:, 1], 5),
        (draws.mirrored.long(), 2),
        (draws.centers[:, 0], 8),
        (draws.centers[:, 1], 16),
    ):
        counts = torch.bincount(values, minlength=options).double()
        expected = 100_000 / options
        assert len(counts) == options
        assert (counts - expected).abs().max() < 5 * expected**0.5
    pairs = draws.offsets.double().T
    assert torch.corrcoef(pairs)[0, 1].abs() < 0.02  # row and column don't depend on each other


def test_alternating_shows_both_sides_in_two_epochs():
    augmentation = Augmentation("alternating")
    sides = [augmentation.draw(1000, 32, 32, seed=7, epoch=epoch).mirrored for epoch in range(5)]
    assert 400 < sides[0].sum() < 600
    for epoch in range(4):
        assert torch.equal(sides[epoch], ~sides[epoch + 1])
    assert not torch.equal(sides[0], augmentation.draw(1000, 32, 32, seed=8, epoch=0).mirrored)


def test_a_batch_of_an_epoch_gets_its_own_draws():
    augmentation = Augmentation("random", crop=2, cutout=4)
    draws = augmentation.draw(50, 8, 8, seed=3, epoch=1)
    pictures = torch.randn(50, 3, 8, 8)
    whole = augmentation(pictures, draws)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    for batch in order.split(16):
        assert torch.equal(augmentation(pictures[batch], draws[batch]), whole[batch])


def test_light_changes_contrast_and_brightness_of_each_picture():
    augmentation = Augmentation("random", crop=2, cutout=3, light=0.25)
    draws = augmentation.draw(20_000, 8, 8, seed=1, epoch=0)
    pictures = torch.randn(20, 3, 8, 8).contiguous(memory_format=CHANNELS_LAST)
    few = draws[torch.arange(20)]
    result = augmentation(pictures, few)
    assert result.is_contiguous(memory_format=CHANNELS_LAST)
    contrast, brightness = draws.light.T
    for values, middle in ((contrast, 1.0), (brightness, 0.0)):
        assert ((values - middle).abs() <= 0.25).all()
        assert values.std() == pytest.approx(0.5 / 12**0.5, rel=0.03)
    without = slow(pictures.numpy(), Draws(few.offsets, few.mirrored), 2, 0)
    lit = torch.from_numpy(
        np.stack([c * p + b for p, (c, b) in zip(without, few.light.numpy(), strict=True)])
    )
    expected = slow(lit.numpy(), Draws(centers=few.centers), 2, 3)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_nothing_asked_nothing_done():
    augmentation = Augmentation()
    draws = augmentation.draw(3, 8, 8, seed=0, epoch=0)
    assert draws == Draws() == draws[torch.tensor([0])]
    pictures = torch.randn(3, 3, 8, 8)
    assert torch.equal(augmentation(pictures, draws), pictures)


def test_new_kinds_of_chance_leave_the_older_draws_as_they_were():
    plain = Augmentation("random", crop=2, cutout=4, light=0.2).draw(50, 32, 32, seed=3, epoch=1)
    more = Augmentation("random", 2, 4, 0.2, resized_crop=0.3, policy="trivial")
    draws = more.draw(50, 32, 32, seed=3, epoch=1)
    for name in ("offsets", "mirrored", "centers", "light"):
        assert torch.equal(getattr(plain, name), getattr(draws, name))
    assert plain.boxes is plain.operations is None
    again = more.draw(50, 32, 32, seed=3, epoch=1)
    assert torch.equal(draws.boxes, again.boxes)
    assert torch.equal(draws.operations, again.operations)


def test_the_resized_crop_comes_first_and_the_policy_on_its_own():
    augmentation = Augmentation("random", crop=2, resized_crop=0.3, policy="trivial")
    draws = augmentation.draw(20, 16, 16, seed=0, epoch=0)
    pictures = torch.randn(20, 3, 16, 16)
    moved = resized_crop(pictures, draws.boxes)
    expected = slow(moved.numpy(), draws, 2, 0)
    np.testing.assert_array_equal(augmentation(pictures, draws).numpy(), expected)
    raw = torch.randint(256, (20, 16, 16, 3), dtype=torch.uint8)
    assert torch.equal(augmentation.change(raw, draws), trivial(raw, draws.operations))
    assert torch.equal(Augmentation().change(raw, Draws()), raw)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mirror": "always"},
        {"crop": -1},
        {"cutout": -1},
        {"light": -0.1},
        {"resized_crop": 1.1},
        {"policy": "auto"},
    ],
)
def test_a_wrong_setting_is_an_error(wrong):
    with pytest.raises(ValueError, match="got Augmentation"):
        Augmentation(**wrong)


def test_more_padding_than_picture_is_an_error():
    with pytest.raises(ValueError, match="8×4 picture can't be padded by 4"):
        reflect_crop(torch.zeros(1, 3, 8, 4), torch.zeros(1, 2, dtype=torch.long), 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_on_a_gpu():
    augmentation = Augmentation("alternating", crop=2, cutout=8)
    draws = augmentation.draw(100, 32, 32, seed=0, epoch=3)
    pictures = torch.randn(100, 3, 32, 32)
    assert torch.equal(augmentation(pictures.cuda(), draws).cpu(), augmentation(pictures, draws))


def test_shrink_averages_whole_blocks_and_keeps_a_flat_picture():
    pictures = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    flat = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(shrink(flat, 20), torch.full((1, 3, 20, 20), 0.3))
    # At half the size a bilinear filter weighs four pixels 1, 3, 3, 1 along each axis, off the border.
    weights = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    by_hand = torch.einsum("i,j,ncij->nc", weights, weights, pictures[:, :, 1:5, 1:5])
    torch.testing.assert_close(shrink(pictures, 4)[:, :, 1, 1], by_hand)
