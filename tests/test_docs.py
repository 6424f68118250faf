"""The documents: links lead somewhere, examples run, and the two languages say the same commands."""

import importlib
import itertools
import json
import re
from pathlib import Path
from statistics import mean, stdev

import pytest
from PIL import Image

import plusx
from plusx.models import Card, save_weights
from plusx.report.run_files import EPOCH_KEYS, RESULT_KEYS
from plusx.train import load_recipe, parse_setting, recipe_names

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HOMEWORK = [f"docs/homework/{name}" for name in ("convolution", "pooling", "resnet", "final-project")]
LESSON = [f"docs/lesson/{name}" for name in ("cnn", "convolution", "pooling", "resnet")]
EXAMPLES = [
    *("README.md", "docs/own-pictures.md", "docs/explain.md", "docs/export.md"),
    *(f"{name}.md" for name in (*LESSON, *HOMEWORK[:3])),
]
CHINESE = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS if path.name.endswith(".zh-CN.md")]
PAIRS = [(name.replace(".zh-CN.md", ".md"), name) for name in CHINESE]


def blocks(document: str | Path, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_comments(code: str) -> list[str]:
    lines = (re.sub(r"(^|\s+)# .*", "", line) for line in code.splitlines())
    return [line for line in lines if line]


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8"))
    broken = []
    for link in links:
        target, _, anchor = link.partition("#")
        path = (document.parent / target).resolve() if target else document
        if "://" not in link and (not path.exists() or (anchor and anchor not in anchors(path))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize(
    ("document", "pattern"),
    [
        ("docs/lesson-map.md", r"(?P<names>`[^|\[]+`) in \[[^]]+\]\((?P<file>[^)]+\.py)\)"),
        ("docs/lesson-map.zh-CN.md", r"\]\((?P<file>[^)]+\.py)\) 的 (?P<names>[^|，]+)"),
    ],
)
def test_the_map_names_what_the_code_defines(document: str, pattern: str) -> None:
    found = [*re.finditer(pattern, (ROOT / document).read_text(encoding="utf-8"))]
    assert len(found) > 10
    for match in found:
        code = (ROOT / "docs" / match["file"]).read_text(encoding="utf-8")
        for name in re.findall(r"`(?:\w+\.)?(\w+)`", match["names"]):
            assert re.search(rf"(def|class) {name}\b", code), f"{match['file']} defines no {name}"


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
@pytest.mark.parametrize("language", ["bash", "python"])
def test_both_languages_give_the_same_commands(english: str, chinese: str, language: str) -> None:
    assert [*map(without_comments, blocks(english, language))] == [
        *map(without_comments, blocks(chinese, language))
    ]


@pytest.mark.parametrize("document", EXAMPLES)
def test_examples_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # They stand for what the commands before them leave; the weights are untrained.
    for run, classes in (("fast-seed0", plusx.data.CLASSES), ("pets-0", ("cat", "dog"))):
        card = Card("fast", True, classes, mean=(0.5,) * 3, std=(0.25,) * 3, input_size=32)
        model = plusx.create_model("fast", num_classes=len(classes))
        (tmp_path / "runs" / run).mkdir(parents=True)
        save_weights(tmp_path / "runs" / run / "model.safetensors", model, card)
    for number, image in enumerate(plusx.data.sample("test")[0][:10]):
        folder = tmp_path / "pets" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    examples = blocks(document, "python")
    assert examples
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, document, "exec"), names)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_and_recipe_in_a_command_exists(document: Path) -> None:
    for command in "\n".join(blocks(document, "bash")).replace("\\\n", " ").splitlines():
        settings = [parse_setting(setting) for setting in re.findall(r"--set (\S+)", command)]
        recipe = re.search(r"plusx train ([a-z]\w+)(?= |$)", command)
        load_recipe(recipe[1] if recipe else "fast", dict(settings))


def test_the_readme_lists_the_shipped_recipes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in recipe_names() if f"`{name}`" not in text] == []


def test_every_key_of_a_result_is_explained() -> None:
    text = (ROOT / "docs/how-a-run-works.md").read_text(encoding="utf-8")
    assert [key for key in sorted(RESULT_KEYS | EPOCH_KEYS) if f"`{key}`" not in text] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_laboratory_s_pages_say_what_its_results_say(language: str) -> None:
    publish = importlib.import_module("publish_lab")
    text = (ROOT / "docs" / publish.WORDS[language]["file"]).read_text(encoding="utf-8")
    assert text == publish.page(publish.published(), language)


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md"])
def test_the_results_in_the_documents_are_those_of_the_published_runs(document: str) -> None:
    publish = importlib.import_module("publish_results")
    text = (ROOT / document).read_text(encoding="utf-8")
    expected = publish.table(publish.WORDS[document], ROOT / "docs" / "results")
    assert expected in text


@pytest.mark.parametrize("document", ["export.md", "export.zh-CN.md"])
def test_the_table_of_exported_files_is_what_was_measured(document: str) -> None:
    measure = importlib.import_module("measure_export")
    result = json.loads(measure.RESULT.read_text(encoding="utf-8"))
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    assert measure.table(result, measure.WORDS[document]) in text


def test_the_table_of_ablations_is_what_was_measured() -> None:
    ablations = importlib.import_module("ablations")
    assert ablations.table(ablations.RESULTS) in ablations.DOCUMENT.read_text(encoding="utf-8")


def test_every_row_of_the_ablations_is_a_recipe_of_its_own() -> None:
    ablations = importlib.import_module("ablations")
    recipes = [
        load_recipe("fast", dict(map(parse_setting, settings))) for settings in ablations.ROWS.values()
    ]
    assert recipes[-1] == load_recipe("fast")
    assert all(a != b for a, b in itertools.combinations(recipes, 2))


def test_published_ablations_are_the_runs_by_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ablations = importlib.import_module("ablations")
    document, row = tmp_path / "document.md", "no crop"
    document.write_text("<!-- results -->\nnone\n<!-- end of results -->\n", encoding="utf-8")
    monkeypatch.setattr(ablations, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(ablations, "DOCUMENT", document)
    for name, gain in ((ablations.BASE, 0.0), (row, 0.01)):
        for seed in (10, 2):
            run = tmp_path / "runs" / f"{ablations.prefix(name)}{seed}"
            run.mkdir(parents=True)
            accuracy = 0.9 + seed / 1000 + gain
            result = {"seed": seed, "test_accuracy": accuracy, "test_accuracy_tta": accuracy}
            (run / "result.json").write_text(json.dumps(result), encoding="utf-8")
            (run / "environment.json").write_text(
                '{"device": "cpu", "processor": "abacus"}', encoding="utf-8"
            )
    ablations.publish(tmp_path / "runs")
    kept = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert list(kept[row]) == ["2", "10"]
    assert "| no crop | 2 | 91.60 ± 0.57 % | +1.00 | 91.60 ± 0.57 % | +1.00 | – |" in document.read_text()


@pytest.mark.parametrize("document", ["docs/own-pictures.md", "docs/own-pictures.zh-CN.md"])
def test_the_figures_of_the_walk_through_are_those_of_its_runs(document: str) -> None:
    def accuracy(run: str) -> float:
        result = (ROOT / "docs/results/own-pictures" / run / "result.json").read_text(encoding="utf-8")
        return 100 * float(json.loads(result)["test_accuracy"])

    text = (ROOT / document).read_text(encoding="utf-8")
    assert f"{accuracy('vehicles'):.2f} %" in text
    for name in ("pets", "pets-fresh"):
        seeds = [accuracy(f"{name}-{seed}") for seed in range(3)]
        assert f"{mean(seeds):.1f} ± {stdev(seeds):.1f} %" in text
    measured = json.loads((ROOT / "docs/results/evaluate/cifar10.json").read_text(encoding="utf-8"))
    noise = measured["corruptions"]["gaussian_noise"]["accuracies"][0]
    for share in (measured["test_accuracy"], measured["test_accuracy_corrupted"], noise):
        assert f"{100 * share:.2f} %" in text
    loading = json.loads((ROOT / "docs/results/own-pictures/bench-data.json").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for rates in zip(
        *([r for r in loading["rows"] if r["network"] == n] for n in loading["waiting"]), strict=True
    ):
        fast, deep = (f"{row['pictures_per_second'][0]:,.0f}" for row in rates)
        assert any(re.search(rf"\| {fast} \S+ \| {deep} \S+ \|", line) for line in lines)
    assert any(all(f"{100 * w:.1f} %" in line for w in loading["waiting"].values()) for line in lines)


@pytest.mark.parametrize("document", ["docs/explain.md", "docs/explain.zh-CN.md"])
def test_the_figures_of_an_explanation_are_those_of_its_numbers(document: str) -> None:
    dog, airplane = json.loads((ROOT / "docs/results/explain/numbers.json").read_text(encoding="utf-8"))
    text = (ROOT / document).read_text(encoding="utf-8")
    assert (dog["class"], airplane["class"], airplane["doubtful"]) == ("dog", "ship", True)
    assert f"{100 * airplane['probability']:.1f} %" in text
    assert "{}×{}".format(*dog["grad_cam"]["size"]) in text
    top, left, bottom, right = dog["stages"][1]["unit"]["field"]
    assert f"{bottom - top}×{right - left}" in text
    top, left, bottom, right = airplane["stages"][0]["unit"]["field"]
    assert right == 32
    assert (bottom - top) * (right - left) == 2


@pytest.mark.parametrize("document", ["docs/own-pictures.md", "docs/own-pictures.zh-CN.md"])
def test_one_folder_all_the_way_is_what_the_commands_said(document: str) -> None:
    text, folder = (
        (ROOT / document).read_text(encoding="utf-8"),
        ROOT / "docs/results/own-pictures/walk-through",
    )
    result, measured = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("result", "evaluate")
    )
    compared = (folder / "compare.txt").read_text(encoding="utf-8")
    points, low, high = re.findall(r"[+](\d\.\d\d)", compared)
    exported = [(folder / f"export{kind}.txt").read_text(encoding="utf-8") for kind in ("", "-int8")]
    sizes = [int(re.findall(r"([\d,]+) bytes", line)[0].replace(",", "")) / 1e6 for line in exported]
    same = re.findall(r"same answer on (\d),(\d+)", exported[1])[0]
    low_share, high_share = measured["test_accuracy_interval"]
    figures = [
        f"{100 * result['test_accuracy']:.2f} %",
        f"{100 * measured['test_accuracy']:.2f} %",
        f"{100 * low_share:.1f}",
        f"{100 * high_share:.1f} %",
        f"{100 * measured['calibration_error']:.1f} %",
        *(points, low, high),
        *(f"{size:.1f} MB" for size in sizes),
        " ".join(same),
    ]
    assert [figure for figure in figures if figure not in text] == []
