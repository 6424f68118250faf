"""Look at the pages of `plusx app` in Chromium.

    python scripts/look_at_app.py pictures     # docs/pictures/app/*.png: every page, in both languages
    python scripts/look_at_app.py measure      # first paint, the answer to a slider, memory with ten tabs

Needs chromium and its driver (Debian: apt install chromium chromium-driver).
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from plusx.app.pages import PAGES
from plusx.environment import processor

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "pictures" / "app"
RUNS = ("fast/seed0", "resnet20/seed0")
STATES = {
    "convolution": "picture=cat&kernel=vertical&size=64&x=24&y=20",
    "pooling": "gradient=on&x=1&y=0",
    "inside": "picture=bird&stage=stage2&y=2&x=4",
    "plus-one": "depth=56",
    "training": "run=fast-seed0&run=resnet20-seed0",
    "predict": "picture=horse",
}
TABS = 10


@contextmanager
def server() -> Iterator[tuple[str, int, float]]:
    """Its address, its process number, and the seconds until it listened."""
    with tempfile.TemporaryDirectory() as folder:
        for run in RUNS:
            to = Path(folder) / run.replace("/", "-")
            shutil.copytree(ROOT / "docs" / "results" / run, to)
            (to / "report.html").touch()
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "plusx", "app", "--no-browser", "--port", "0", "--runs", folder],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield line.split()[2].rstrip("/"), process.pid, time.monotonic() - begun
        finally:
            process.terminate()
            process.wait()


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window, a history or a cache."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--disable-background-networking"):  # fmt: skip
        options.add_argument(argument)
    driver = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=driver)
    browser.set_script_timeout(120)
    try:
        yield browser
    finally:
        browser.quit()


def show(browser: webdriver.Chrome, address: str, width: int, height: int, theme: str) -> None:
    """Open a page and wait until it is whole."""
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)
    whole = "return !('later' in document.body.dataset) || document.documentElement.dataset.answers > 0"
    WebDriverWait(browser, 60, 0.05).until(lambda b: b.execute_script(whole))


def take_pictures() -> None:
    """Every page, English in light, Chinese in dark; and one as on a telephone."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with server() as (address, _, _), chromium() as browser:
        for language, theme in (("en", "light"), ("zh", "dark")):
            for name in PAGES:
                show(browser, f"{address}/{language}/{name}?{STATES[name]}", 1200, 900, theme)
                save(browser, TARGET / f"{name}-{language}.png")
            show(browser, f"{address}/{language}/convolution?{STATES['convolution']}", 390, 844, theme)
            save(browser, TARGET / f"telephone-{language}.png")


def save(browser: webdriver.Chrome, path: Path) -> None:
    """The window as a PNG of 256 colours: a third of the bytes."""
    picture = Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path.relative_to(ROOT), f"{path.stat().st_size / 1024:.0f} KiB")


SLIDE = """
const done = arguments[arguments.length - 1];
const slider = document.getElementById('controls').elements.k;
const taken = [];
const observer = new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => {
  taken.push(performance.now() - begun);
  if (taken.length === 20) { observer.disconnect(); done(taken); } else setTimeout(move, 50);
})));
let begun;
function move() {
  slider.value = slider.value === '3' ? '5' : '3';
  begun = performance.now();
  slider.dispatchEvent(new Event('input', { bubbles: true }));
}
observer.observe(document.getElementById('part-output'), { childList: true });
move();
"""


def measure() -> None:
    """What the README promises, in the browser."""
    found: dict[str, object] = {"processor": processor()}
    with server() as (address, pid, seconds):
        found["seconds from the command to listening"] = round(seconds, 2)
        with chromium() as browser:
            begun = time.monotonic()
            browser.get(f"{address}/en/convolution")
            paint = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
            found["first paint of the first visit, ms"] = round(browser.execute_script(paint))
            found["first visit until all is loaded, ms"] = round(1000 * (time.monotonic() - begun))
            sizes = "return performance.getEntriesByType('resource').map(e => e.decodedBodySize)"
            found["files of a visit besides the page"] = len(browser.execute_script(sizes))
            for size in (32, 224):
                browser.get(f"{address}/en/convolution?size={size}")
                taken = browser.execute_async_script(SLIDE)
                found[f"slider to picture at {size} px, ms"] = {
                    "median": round(statistics.median(taken)),
                    "largest of 20": round(max(taken)),
                }
            found["server's memory, one tab, MiB"] = memory(pid)
            tabs = [browser.current_window_handle]
            for number in range(TABS):
                browser.switch_to.new_window("tab")
                name = [*PAGES][number % len(PAGES)]
                browser.get(f"{address}/en/{name}?{STATES[name]}")
                tabs.append(browser.current_window_handle)
            for tab in tabs[1:]:
                browser.switch_to.window(tab)
                browser.execute_script(
                    "const c = document.getElementById('controls').elements;"
                    "setInterval(() => {"
                    " const f = [...c].find(e => e.type === 'range' || e.tagName === 'SELECT');"
                    " f.dispatchEvent(new Event('input', {bubbles: true})); }, 200);"
                )
            time.sleep(10)
            browser.switch_to.window(tabs[0])
            taken = browser.execute_async_script(SLIDE)
            found[f"slider to picture at 224 px beside {TABS} busy tabs, ms"] = {
                "median": round(statistics.median(taken)),
                "largest of 20": round(max(taken)),
            }
            found[f"server's memory with {TABS} busy tabs, MiB"] = memory(pid)
    print(json.dumps(found, indent=2))


def memory(pid: int) -> int:
    """Resident memory of a process in MiB."""
    line = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return round(int(line.stdout) / 1024)


if __name__ == "__main__":
    actions = {"pictures": take_pictures, "measure": measure}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.exit(__doc__)
    actions[sys.argv[1]]()
