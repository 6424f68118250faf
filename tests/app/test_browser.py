"""The pages in a real browser: opened, moved, uploaded to, switched, and broken on purpose."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import plusx
from plusx.app.pages import PAGES
from plusx.app.pages.convolution import preset
from plusx.app.pictures import SHOWN
from plusx.app.texts import LANGUAGES, Texts
from plusx.data import read_picture, sample
from tests.app.conftest import Served

FIND = "css selector"


class Tab:
    """A page on the screen."""

    def __init__(self, window: Any, served: Served) -> None:
        self.window, self.served = window, served

    def open(self, path: str, width: int = 1280, theme: str = "light") -> "Tab":
        self.size(width)
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        self.window.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.window.get(f"{self.served.address}/{path}")
        self.until("return document.readyState === 'complete'")  # on a busy machine `get` can be back before
        if self.run("return 'later' in document.body.dataset"):
            self.until("return Number(document.documentElement.dataset.answers || 0) > 0")
        return self

    def size(self, width: int, height: int = 900) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.window.execute_script(script, *arguments)

    def until(self, script: str, seconds: float = 30.0) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.window, seconds, 0.02).until(lambda window: window.execute_script(script))

    def one(self, selector: str) -> Any:
        return self.window.find_element(FIND, selector)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent.trim()", selector))

    def answered(self, act: Callable[[], Any]) -> "Tab":
        """Do something, and wait until the page shows the server's answer to it."""
        before = self.run("return Number(document.documentElement.dataset.answers || 0)")
        act()
        self.until(
            f"return Number(document.documentElement.dataset.answers || 0) > {before}"
            " && !document.getElementById('controls').hasAttribute('aria-busy')"
        )
        return self

    def set(self, name: str, value: str) -> "Tab":
        """Move a control as a hand does."""
        return self.answered(
            lambda: self.run(
                "const field = document.getElementById('controls').elements[arguments[0]];"
                "field.value = arguments[1];"
                "field.dispatchEvent(new Event('input', {bubbles: true}));",
                name,
                value,
            )
        )

    def upload(self, path: Path) -> None:
        self.one("[data-upload]").send_keys(str(path))

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.window.get_log("browser")]


@pytest.fixture
def tab(chromium: Any, served: Served) -> Tab:
    chromium.delete_all_cookies()
    chromium.get_log("browser")
    return Tab(chromium, served)


@pytest.mark.parametrize("name", ["", *PAGES])
def test_every_page_fits_in_both_languages_widths_and_themes(tab: Tab, name: str) -> None:
    for language in LANGUAGES:
        for width, theme in ((390, "dark"), (1600, "light")):
            tab.open(f"{language}/{name}", width, theme)
            assert tab.text("h1") == Texts(name or "home", language)["title"]
            assert tab.run("return document.documentElement.scrollWidth") <= width
            assert tab.run("return document.documentElement.lang").startswith(language)
            paper = tab.run("return getComputedStyle(document.body).backgroundColor")
            assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[theme]
    assert tab.complaints() == []
    elsewhere = (
        "return performance.getEntriesByType('resource').filter(e => !e.name.startsWith(origin)).length"
    )
    assert tab.run(elsewhere) == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(tab: Tab, theme: str) -> None:
    tab.open("en/convolution", theme=theme)
    for selector in ("p.lead", "h1", "label", "figcaption", ".numbers td", "button", "a#language", "#sum"):
        ratio = tab.run(CONTRAST, selector)
        assert ratio >= 4.5, f"{selector}: {ratio:.2f}"


def test_moving_controls_changes_the_numbers_to_those_of_ops(tab: Tab) -> None:
    tab.open("en/convolution")
    tab.set("k", "5").set("s", "2").set("padding", "number").set("p", "3").set("kernel", "blur")
    grey = torch.from_numpy(np.array(Image.fromarray(sample("test")[0][SHOWN["cat"]]).convert("L")))
    x = grey.double().reshape(1, 1, 32, 32) / 255
    weight = torch.from_numpy(preset("blur", 5))[None, None]
    expected = plusx.ops.conv2d(x, weight, stride=2, padding=3)[0, 0]
    assert tab.text("#part-output_size") == f"{len(expected)} × {len(expected)}"
    assert float(tab.one("#sum").get_attribute("data-value")) == pytest.approx(expected[12, 12].item())
    # An arrow key moves the window, and so does the pointer.
    tab.answered(lambda: tab.one("#point").send_keys("\ue014"))  # right
    assert float(tab.one("#sum").get_attribute("data-value")) == pytest.approx(expected[12, 13].item())
    tab.answered(
        lambda: tab.run(
            "const s = document.getElementById('point'), b = s.getBoundingClientRect();"
            "s.dispatchEvent(new PointerEvent('pointermove', {bubbles: true,"
            " clientX: b.left + b.width * 4.5 / 17, clientY: b.top + b.height * 2.5 / 17}));"
        )
    )
    assert float(tab.one("#sum").get_attribute("data-value")) == pytest.approx(expected[2, 4].item())
    assert tab.run("return document.activeElement.id") == "point"  # the keyboard goes on where it was
    # The other language shows the same.
    tab.one("#language").click()
    assert tab.text("h1") == "卷积"
    assert float(tab.one("#sum").get_attribute("data-value")) == pytest.approx(expected[2, 4].item())


def test_playing_moves_the_window(tab: Tab) -> None:
    tab.open("zh/convolution?size=8&x=0&y=0")
    tab.one("[data-play]").click()
    tab.until("return Number(document.getElementById('controls').elements.x.value) >= 2")
    assert tab.text("[data-play]") == "暂停"
    tab.one("[data-play]").click()
    assert tab.text("[data-play]") == "播放"
    tab.answered(lambda: tab.one("[data-step]").click())


def test_a_number_typed_into_the_kernel_makes_it_one_s_own(tab: Tab) -> None:
    tab.open("en/convolution")
    before = float(tab.one("#sum").get_attribute("data-value"))
    cell = tab.one('[name="w"]')
    tab.answered(lambda: cell.send_keys("\ue009a\ue000", "-3"))  # over what stands there
    assert tab.one("#kernel").get_attribute("value") == "own"
    patch = float(tab.run("return document.querySelector('.numbers td').textContent"))
    after = float(tab.one("#sum").get_attribute("data-value"))
    assert after - before == pytest.approx(-2 * patch, abs=0.02)  # −1 became −3
    assert tab.run("return document.activeElement.name") == "w"


def test_an_impossible_size_is_explained_beside_its_control(tab: Tab) -> None:
    tab.open("en/convolution")
    tab.set("size", "8").set("k", "11")
    assert "covers 11 pixels" in tab.text('[data-fault="k"]')
    tab.set("k", "3")
    assert tab.text('[data-fault="k"]') == ""


def test_the_lesson_s_grid_pools_as_in_the_lesson(tab: Tab) -> None:
    tab.open("zh/pooling")
    values = "return [...document.querySelectorAll('#pooled span')].map(cell => Number(cell.dataset.value))"
    assert tab.run(values) == [9, 8, 6, 7]
    tab.set("kind", "average")
    lesson = torch.tensor([[1.0, 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]])[None, None]
    assert tab.run(values) == F.avg_pool2d(lesson, 2).flatten().tolist()
    cell = tab.one('[name="v"]')
    tab.answered(lambda: cell.send_keys("\ue009a\ue000", "101"))
    assert tab.run(values)[0] == (101 + 4 + 3 + 9) / 4


def test_the_gradient_appears_after_the_page_and_follows_its_controls(tab: Tab) -> None:
    tab.open("en/plus-one?depth=20")
    product = "return Number(document.querySelectorAll('#factors [data-value]')[1].dataset.value)"
    built = tab.run(product)
    tab.set("setting", "small")
    assert tab.run(product) < 1e-2 < 1 < built  # vanishes; with batch norm it grows


def test_an_uploaded_picture_is_predicted_as_by_plusx_predict(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "ein Pferd.png"
    horse = Image.fromarray(sample("test")[0][SHOWN["horse"]])
    horse.resize((400, 300), Image.Resampling.BICUBIC).save(path)
    tab.open("en/predict").answered(lambda: tab.upload(path))
    (expected,) = plusx.load("cifar10").predict(read_picture(path, 32))
    assert tab.text("#said") == expected.name
    assert f"{100 * expected.probability:.1f}" in tab.text(".verdict")
    link = str(tab.one("a[download]").get_attribute("href"))
    found = tab.served.ask(link.removeprefix(tab.served.address)).json
    assert found["probabilities"][expected.name] == pytest.approx(expected.probability, abs=1e-6)
    # Another page explains the same answer.
    tab.one("#why").click()
    tab.until("return document.documentElement.dataset.answers > 0")
    assert tab.text("#said") == expected.name
    tab.answered(lambda: tab.one('[id="off_x-block2"]').click())
    now, whole = (
        tab.run(f"return [...document.querySelectorAll('[data-{key}]')].map(e => Number(e.dataset.{key}))")
        for key in ("now", "whole")
    )
    assert len(now) == len(whole) == 5
    assert now != whole
    # The address keeps it, and another page takes it.
    picture = re.search(r"picture=([^&]+)", tab.window.current_url)
    assert picture is not None
    tab.open(f"zh/convolution?picture={picture[1]}&size=64")
    assert tab.text('[data-fault="picture"]') == ""


def test_a_hostile_upload_gets_a_message_and_the_page_goes_on(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"<script>alert(1)</script>" * 100)
    (tmp_path / "large.png").write_bytes(b"\0" * (8 * 2**20 + 1))
    tab.open("zh/predict")
    tab.upload(tmp_path / "cat.png")
    tab.until("return document.querySelector('[data-fault=picture]').textContent.includes('无法')")
    tab.upload(tmp_path / "large.png")
    tab.until("return document.querySelector('[data-fault=picture]').textContent.includes('8 MiB')")
    assert tab.text("#said") == "cat"
    tab.answered(lambda: tab.one('.pictures label[title="ship"]').click())
    assert tab.text("#said") == "ship"
    assert tab.text('[data-fault="picture"]') == ""


def test_the_theme_s_switch_is_kept(tab: Tab) -> None:
    tab.open("en/pooling", theme="light")
    tab.one("#theme").click()
    tab.open("en/predict", theme="light")
    assert tab.run("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 30)"
    tab.one("#theme").click()
    tab.run("localStorage.clear()")


def test_without_a_server_the_page_says_so(tab: Tab) -> None:
    tab.open("en/convolution")
    tab.run("window.fetch = () => Promise.reject(new TypeError('gone'))")
    tab.set("k", "5")
    assert tab.text("#notice").startswith("The server gives no answer")


def test_the_token_opens_the_pages_once(chromium: Any, start: Callable[..., Served]) -> None:
    locked = start(token="a-token-of-a-teacher")
    chromium.delete_all_cookies()
    chromium.get(f"{locked.address}/en/pooling")
    assert chromium.find_element(FIND, "body").text == "forbidden"
    chromium.get(f"{locked.address}/en/pooling?token=a-token-of-a-teacher&k=1")
    assert chromium.current_url == f"{locked.address}/en/pooling?k=1"
    tab = Tab(chromium, locked)
    tab.set("k", "2")
    assert tab.text("#part-formula").count("2") >= 1
    chromium.delete_all_cookies()


CONTRAST = """
const part = (c) => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
const read = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (e) => {
  const c = read(getComputedStyle(e).backgroundColor);
  return c.length === 4 && c[3] === 0 ? ground(e.parentElement) : c;
};
const e = document.querySelector(arguments[0]);
const [a, b] = [light(read(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
return (a + .05) / (b + .05);
"""
