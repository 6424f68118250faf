import numpy as np
import pytest
from PIL import Image

from plusx.data import sample
from plusx.data.picture import read_picture
from plusx.errors import UserError


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_a_picture_of_the_right_size_comes_back_unchanged(tmp_path, suffix):
    image = sample("test")[0][7]
    Image.fromarray(image).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_picture(tmp_path / f"a.{suffix}", 32), image)


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (7, 7), (1, 500)])
def test_the_middle_square_at_any_size(tmp_path, shape):
    # Red left of and above the middle square, blue right of and below it, green in it.
    height, width = shape
    side = min(shape)
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 0] = 255
    top, left = (height - side) // 2, (width - side) // 2
    image[top:, left:] = (0, 0, 255)
    image[top : top + side, left : left + side] = (0, 255, 0)
    Image.fromarray(image).save(tmp_path / "a.png")
    result = read_picture(tmp_path / "a.png", 16)
    assert result.shape == (16, 16, 3)
    assert result.dtype == np.uint8
    assert (result[2:-2, 2:-2] == (0, 255, 0)).all() or side == 1


def test_an_even_picture_scales_to_its_own_colour(tmp_path):
    Image.new("RGB", (300, 200), (10, 130, 250)).save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png", 32) == (10, 130, 250)).all()


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("L", 90, (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 90 * 256, (90, 90, 90)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (200, 0, 0, 255), (200, 0, 0)),
        ("LA", (90, 255), (90, 90, 90)),
    ],
)
def test_every_kind_of_colour_becomes_rgb(tmp_path, mode, colour, seen):
    Image.new(mode, (8, 8), colour).save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png", 4) == seen).all()


def test_a_palette_s_colours_are_looked_up(tmp_path):
    picture = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) % 2, "P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / "a.png")
    seen = read_picture(tmp_path / "a.png", 4)
    np.testing.assert_array_equal(seen, [[[10, 20, 30], [200, 100, 50]] * 2] * 4)


def test_the_transparent_grey_of_16_bits_is_white(tmp_path):
    grey = np.array([[1000, 1001], [40_000, 1000]], np.uint16)  # both 3 in 8 bits, but one is transparent
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=1000)
    assert read_picture(tmp_path / "a.png", 2)[..., 0].tolist() == [[255, 3], [40_000 >> 8, 255]]


def test_the_camera_s_orientation_is_obeyed(tmp_path):
    image = sample("test")[0][7]  # no row or column like its mirror image
    stored = {
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        6: np.rot90(image),
        8: np.rot90(image, -1),
    }
    for orientation, pixels in stored.items():  # as EXIF numbers how the camera was held
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(read_picture(tmp_path / "a.png", 32), image)


def test_what_is_no_picture_is_one_line(tmp_path):
    Image.fromarray(sample("test")[0][0]).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:500])
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for path, message in (
        (tmp_path / "nowhere.png", "there is no picture"),
        (tmp_path, "is a directory; give picture files"),
        (tmp_path / "text.jpg", "can't be read as a picture"),
        (tmp_path / "empty.png", "can't be read as a picture"),
        (tmp_path / "cut.png", "can't be read as a picture"),
    ):
        with pytest.raises(UserError, match=message) as error:
            read_picture(path, 32)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_picture_too_big_to_unpack_is_one_line(tmp_path, monkeypatch):
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="too big a picture"):
        read_picture(tmp_path / "a.png", 32)
