"""What the pages compute, compared with PyTorch, NumPy and sums by hand; and what they say of bad values."""

import base64
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.datastructures import QueryParams
from torch.nn import functional as F

import plusx
from plusx.app.charts import Line, lines, ticks
from plusx.app.drawing import PALETTE, signed, tint
from plusx.app.forms import FieldError, Form
from plusx.app.networks import Networks
from plusx.app.numbers import digits
from plusx.app.page import House
from plusx.app.pages import PAGES, convolution, inside, plus_one, pooling, predict
from plusx.app.pictures import SHOWN, Shelf
from plusx.app.render import parts, whole
from plusx.app.runs import Runs
from plusx.app.texts import LANGUAGES, Texts
from plusx.data import sample
from plusx.models import Card, save_weights
from tests.app.conftest import Served


def a_house(runs: Path = Path("no/runs"), data: Path | None = None) -> House:
    return House(Networks(runs), Runs(runs), Shelf(), data)


HOUSE = a_house()


def computed(name: str, query: str, house: House = HOUSE) -> dict[str, Any]:
    page, form, texts = PAGES[name], Form(QueryParams(query)), Texts(name, "en")
    values = page.compute(form, house, texts)
    return values | page.later(values, house, texts) if page.later else values


@given(
    K=st.integers(1, 7),
    S=st.integers(1, 4),
    D=st.integers(1, 3),
    P=st.integers(0, 5),
    kernel=st.sampled_from(["edge", "vertical", "horizontal", "blur", "sharpen"]),
    y=st.integers(0, 40),
    x=st.integers(0, 40),
)
def test_a_convolution_is_pytorch_s(K: int, S: int, D: int, P: int, kernel: str, y: int, x: int) -> None:
    query = f"picture=dog&size=32&kernel={kernel}&k={K}&s={S}&d={D}&padding=number&p={P}&y={y}&x={x}"
    values = computed("convolution", query)
    grey = np.asarray(Image.fromarray(sample("test")[0][SHOWN["dog"]]).convert("L"), np.float64) / 255
    weight = torch.from_numpy(convolution.preset(kernel, K))[None, None]
    expected = F.conv2d(torch.from_numpy(grey)[None, None], weight, stride=S, padding=P, dilation=D)[0, 0]
    assert (values["rows"], values["columns"]) == tuple(expected.shape)
    assert values["H_out"] == expected.shape[0] == (32 + 2 * P - D * (K - 1) - 1) // S + 1
    pixel, row, column = values["pixel"], values["y"], values["x"]
    assert (row, column) == (min(y, len(expected) - 1), min(x, len(expected) - 1))
    assert pixel["engine"] == pytest.approx(expected[row, column].item(), abs=1e-10)
    assert pixel["sum"] == pytest.approx(math.fsum(a * b for a, b in pixel["terms"]), abs=1e-12)
    assert pixel["difference"] < 1e-10
    for (tap_y, tap_x), (value, _) in zip(pixel["taps"], pixel["terms"], strict=True):
        inside = 0 <= tap_y < 32 and 0 <= tap_x < 32
        assert value == (grey[tap_y, tap_x] if inside else 0.0)


@pytest.mark.parametrize("size", [32, 31 + 1, 224])
def test_a_trained_filter_is_the_network_s(size: int) -> None:
    values = computed("convolution", f"kernel=trained&filter=7&size={size}&padding=same&picture=ship")
    classifier = plusx.load("cifar10")
    pixels = HOUSE.shelf.pixels("ship", size)
    x = (torch.from_numpy(pixels / 255.0) - torch.tensor(classifier.card.mean).double()) / torch.tensor(
        classifier.card.std
    ).double()
    first = classifier.network.whiten.conv.double()
    with torch.no_grad():
        expected = first(x.permute(2, 0, 1)[None])[0, 7]
    assert values["pixel"]["engine"] == pytest.approx(expected[values["y"], values["x"]].item(), abs=1e-5)
    assert values["largest"] == pytest.approx(expected.abs().max().item(), abs=1e-5)


def test_a_kernel_drawn_by_hand_is_kept_when_it_grows() -> None:
    drawn = "&".join(f"w={value}" for value in (1, 2, 3, 4, 5, 6, 7, 8, 9))
    values = computed("convolution", f"kernel=own&k=5&{drawn}")
    weight = values["choice"].weight[0]
    assert weight[1:4, 1:4].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert weight.sum() == 45
    assert computed("convolution", f"kernel=own&k=1&{drawn}")["choice"].weight.tolist() == [[[5.0]]]


@given(K=st.integers(1, 6), S=st.integers(1, 6), n=st.integers(2, 8), seed=st.integers(0, 99))
def test_pooling_and_its_gradient_are_pytorch_s(K: int, S: int, n: int, seed: int) -> None:
    numbers = np.random.default_rng(seed).permutation(n * n).reshape(n, n)  # no ties
    query = f"n={n}&k={K}&s={S}&gradient=on&" + "&".join(f"v={value}" for value in numbers.ravel())
    kinds: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "max": lambda x: F.max_pool2d(x, K, S),
        "average": lambda x: F.avg_pool2d(x, K, S),
        "global_max": lambda x: x.amax((2, 3), keepdim=True),
        "global_average": lambda x: x.mean((2, 3), keepdim=True),
    }
    for kind, pool in kinds.items():
        if n < K and not kind.startswith("global"):
            with pytest.raises(FieldError, match="too_wide"):
                computed("pooling", f"kind={kind}&{query}")
            continue
        values = computed("pooling", f"kind={kind}&{query}")
        x = torch.from_numpy(numbers).double()[None, None].requires_grad_()
        y = pool(x)
        y.sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(values["pooled"], y[0, 0].detach())
        np.testing.assert_allclose(values["gradient"], x.grad[0, 0])
        assert values["H_out"] == y.shape[2]


def test_a_picture_that_does_not_move_does_not_change() -> None:
    assert [change for _, change, _ in computed("pooling", "right=0&down=0")["changes"]] == [0.0] * 7
    moved = [change for _, change, _ in computed("pooling", "right=2")["changes"]]
    assert moved[0] > moved[2] > moved[6] > 0  # nothing pooled, 8×8, everything


def test_gradients_by_block_are_those_of_autograd() -> None:
    values = computed("plus-one", "depth=20&setting=free")
    assert values["count"] == 9
    norms = [y for _, y in values["gradient_lines"][1].points]
    images, labels = sample("train")
    chosen = slice(None, None, len(images) // plus_one.PICTURES)
    x = torch.from_numpy(images[chosen] / 255.0).float().permute(0, 3, 1, 2)
    mean, std = (images / 255.0).mean((0, 1, 2)), (images / 255.0).std((0, 1, 2))
    x = (x - torch.from_numpy(mean).float()[:, None, None]) / torch.from_numpy(std).float()[:, None, None]
    model = plus_one.gradient_flow.network("plain20", norm=False, factor=1.0)
    model.train()
    h = model.conv1(x).relu()
    kept = []
    for block in (*model.layer1, *model.layer2, *model.layer3):
        h = F.conv2d(h, block.conv1.weight, stride=block.conv1.stride, padding=1).relu()
        h = F.conv2d(h, block.conv2.weight, padding=1).relu()
        h.retain_grad()
        kept.append(h)
    logits = F.linear(h.mean((2, 3)), model.linear.weight, model.linear.bias)
    F.cross_entropy(logits, torch.from_numpy(labels[chosen])).backward()
    np.testing.assert_allclose(norms, [float(h.grad.norm()) for h in kept], rtol=1e-3)


def test_sizes_in_a_block_are_those_of_its_parts() -> None:
    torch.manual_seed(0)
    model = plusx.create_model("resnet20").eval()
    x = torch.randn(2, 3, 32, 32)
    rows = plus_one.sizes(model, x)
    assert len(rows) == 9
    with torch.no_grad():
        h = model.bn1(model.conv1(x)).relu()
        block = model.layer1[0]
        added = block.bn2(block.conv2(block.bn1(block.conv1(h)).relu()))
    assert rows[0][1:] == pytest.approx((added.norm().item(), h.norm().item()), rel=1e-4)
    assert plus_one.sizes(plusx.create_model("plain20").eval(), x) == []


def test_the_curves_are_the_laboratory_s() -> None:
    published = Path(__file__).parents[2] / "docs" / "results" / "lab" / "degradation" / "result.json"
    shipped = Path(plus_one.__file__).parents[1] / "results" / "degradation.json"
    assert shipped.read_bytes() == published.read_bytes()


def test_a_prediction_is_plusx_predict_s() -> None:
    found = predict.as_json(Form(QueryParams("picture=horse")), HOUSE)
    (expected,) = plusx.load("cifar10").predict(sample("test")[0][SHOWN["horse"]])
    assert found["class"] == expected.name == "horse"
    assert found["probabilities"] == pytest.approx(expected.probabilities)


def logits_without(x: torch.Tensor, plain: int, passing: int) -> torch.Tensor:
    """The shipped network with its blocks written out: one without its shortcut, one without its F."""
    net = plusx.load("cifar10").network
    h = net.whiten(x).relu()
    for number, (shrink, block) in enumerate(
        ((net.shrink1, net.block1), (net.shrink2, net.block2), (net.shrink3, net.block3)), start=1
    ):
        h = shrink(h)
        f = block.bn2(block.conv2(F.hardswish(block.bn1(block.conv1(h)))))
        h = F.hardswish(f if number == plain else h if number == passing else f + h)
    return net.linear(h.amax((2, 3)))


@pytest.mark.parametrize(("plain", "passing"), [(0, 0), (2, 0), (0, 3), (1, 2)])
def test_the_answer_without_parts_of_blocks_is_that_of_the_network_written_out(
    plain: int, passing: int
) -> None:
    query = f"picture=frog&off_x=block{plain}&off_f=block{passing}"
    values = computed("inside", query)
    x = HOUSE.shelf.input("frog", plusx.load("cifar10").card)
    with torch.no_grad():
        expected = logits_without(x, plain, passing).softmax(1)[0]
    classes = plusx.data.CLASSES
    for name, whole_share, now in values["rows"]:
        assert now == pytest.approx(expected[classes.index(name)].item(), abs=1e-4)
        assert plain or passing or now == whole_share
    # Nothing of it stays: the next page has the whole network.
    assert computed("predict", "picture=frog")["found"].name == "frog"


def test_without_both_parts_a_block_gives_nothing() -> None:
    torch.manual_seed(0)
    model = plusx.create_model("resnet20").eval()
    with inside.without(model, ["layer3.2"], ["layer3.2"]), torch.no_grad():
        out = model(torch.randn(1, 3, 32, 32))
    np.testing.assert_allclose(out[0], model.linear.bias.detach())  # nothing arrives at the last layer


def test_a_unit_pointed_at_is_the_one_that_is_shown() -> None:
    values = computed("inside", "stage=stage1&y=3&x=5")
    assert (values["unit"].row, values["unit"].column) == (3, 5)
    field = values["field"]
    assert 0 <= field.top <= 2 * 3 < field.bottom <= 32  # it sees its own place: two pixels a step
    elsewhere = computed("inside", "stage=stage3&y=15&x=15")  # its maps are 4 × 4
    assert elsewhere["unit"].activation == max(highest for *_, highest in elsewhere["stages"][-1]["maps"])


def test_a_stage_and_a_class_of_another_network_are_forgotten() -> None:
    left = computed("inside", "stage=stage9&class=unicorn")
    plain = computed("inside", "")
    assert (left["stage"], left["class_name"]) == (left["stage_names"][-1], "")
    assert (left["cam"], left["explained"]) == (plain["cam"], plain["explained"])
    for language in LANGUAGES:
        assert "faults" not in parts(
            PAGES["inside"], QueryParams("stage=stage9&class=unicorn"), HOUSE, language
        )


def test_own_runs_can_be_chosen_and_broken_ones_are_named(tmp_path: Path) -> None:
    card = Card("resnet20", True, ("cat", "dog"), mean=(0.5,) * 3, std=(0.25,) * 3, input_size=32)
    (tmp_path / "pets").mkdir()
    save_weights(tmp_path / "pets" / "model.safetensors", plusx.create_model("resnet20", num_classes=2), card)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"nothing")
    house = a_house(tmp_path)
    assert set(house.networks.names()) == {"cifar10", "pets", "broken"}
    assert computed("predict", "network=pets", house)["rows"][0][0] in ("cat", "dog")
    assert len(computed("plus-one", "network=pets&depth=20", house)["blocks"]) == 9
    assert computed("convolution", "network=pets&kernel=trained", house)["choice"].filters == 16
    fault = parts(PAGES["predict"], QueryParams("network=broken"), house, "en")["faults"]["network"]
    assert fault.startswith("This network can't be used")
    for name in ("../pets", "/etc", "pets/..", "."):
        with pytest.raises(FieldError):
            computed("predict", f"network={name}", house)


def test_what_takes_longer_asks_the_network_for_no_answer_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answers = [], inside.answers

    def counted(network: torch.nn.Module, x: torch.Tensor) -> list[float]:
        asked.append(x)
        return answers(network, x)

    monkeypatch.setattr(inside, "answers", counted)
    assert "parts" in parts(PAGES["inside"], QueryParams("off_x=block1"), HOUSE, "en")
    assert len(asked) == 2  # as it is, and without what is off


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_stands_whole_and_in_parts(name: str, language: Any) -> None:
    html = whole(PAGES[name], QueryParams(), HOUSE, language)
    assert f"<h1>{Texts(name, language)['title']}</h1>" in html
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    answer = parts(PAGES[name], QueryParams(), HOUSE, language)
    for part in answer["parts"]:
        assert f'id="part-{part}"' in html  # the script finds a place for each


@pytest.mark.parametrize(
    ("name", "query", "field"),
    [
        ("convolution", "k=12", "k"),
        ("convolution", "k=1e3", "k"),
        ("convolution", "k=٣", "k"),  # a digit, but of another script
        ("convolution", "size=8&k=11", "k"),
        ("convolution", "kernel=own&w=nan", "w"),
        ("convolution", "kernel=own&w=<script>", "w"),
        ("convolution", "kernel=own&w=1e9", "w"),
        ("convolution", "padding=full", "padding"),
        ("convolution", "picture=../../etc/passwd", "picture"),
        ("convolution", "network=/etc", "network"),
        ("pooling", "k=5", "k"),
        ("pooling", "v=1e99", "v"),
        ("plus-one", "depth=1000", "depth"),
        ("training", "epochs=0", "epochs"),
        ("training", "source=/etc", "source"),
        ("predict", "network=nothing", "network"),
    ],
)
def test_what_can_t_be_used_is_said_beside_its_control(name: str, query: str, field: str) -> None:
    for language in LANGUAGES:
        answer = parts(PAGES[name], QueryParams(query), HOUSE, language)
        assert list(answer) == ["faults"]
        assert list(answer["faults"]) == [field]
        html = whole(PAGES[name], QueryParams(query), HOUSE, language)
        assert f'data-fault="{field}"' in html
        assert "<script>" not in html


@given(st.dictionaries(st.sampled_from(["k", "s", "p", "d", "w", "size", "picture", "kernel"]), st.text()))
def test_no_query_breaks_a_page(query: dict[str, str]) -> None:
    answer = parts(PAGES["convolution"], QueryParams(query), HOUSE, "zh")
    assert ("parts" in answer) != ("faults" in answer)


def test_a_failure_in_one_page_leaves_the_others(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(pooling, "picture", fail)
    assert served.ask("/en/pooling/parts").status == 500
    assert served.ask("/en/convolution/parts").status == 200


@given(st.floats(1e-9, 1e9), st.integers(2, 4))
def test_digits_are_right(value: float, count: int) -> None:
    text = digits(-value, count)
    mantissa, _, power = text.replace("−", "-").partition(" × 10")
    power = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert float(f"{mantissa}e{power or 0}") == pytest.approx(-value, rel=0.51 * 10 ** (1 - count))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_cover_what_is_drawn(low: float, size: float) -> None:
    found = ticks(low, low + size, 5)
    assert found[0] <= low + 1e-6 * size
    assert found[-1] >= low + size - 1e-6 * size
    assert 2 <= len(found) <= 7


def test_labels_in_a_chart_are_escaped() -> None:
    picture = lines([Line("<b>", [(0, 1.0), (1, 2.0)]), Line("&", [(0, 1.0)])], "x", "<i>")
    assert "<b>" not in picture
    assert "<i>" not in picture


def test_colours_of_numbers_and_of_pictures_agree() -> None:
    content = base64.b64decode(signed(np.array([[-1.0, 0.0, 0.5, 1.0]])).partition(",")[2])
    image = Image.open(io.BytesIO(content)).convert("RGB")
    for column, value in enumerate((-1.0, 0.0, 0.5, 1.0)):
        assert "#" + "".join(f"{c:02x}" for c in image.getpixel((column, 0))) == tint(value, 1.0)
    assert PALETTE[3 * 128 : 3 * 128 + 3] == [255, 255, 255]
