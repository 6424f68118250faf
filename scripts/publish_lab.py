"""Bring the laboratory's results into docs/results/lab, and write the pages that show them.

    python scripts/publish_lab.py [runs/lab]

Copies each experiment's `result.json`, brings the texts in all of them up to what the experiment says of the
same numbers today, draws every `figure.png` from the same numbers, and writes docs/laboratory.md and
docs/laboratory.zh-CN.md from them, so that no figure is typed by hand and no picture is older than its numbers.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from plusx.lab import EXPERIMENTS, degradation, pooling, spatial_structure
from plusx.lab.experiment import VERDICT_WORDS, Table
from plusx.lab.workbench import RECIPE
from plusx.report.style import LIGHT, applied, to_png
from plusx.text import Language
from plusx.train import load_recipe

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "results" / "lab"
WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "file": "laboratory.md",
        "title": "The lesson's claims, measured",
        "other": "English · [中文](laboratory.zh-CN.md)",
        "intro": "Each claim of the lesson is an experiment: `plusx lab list` names them, `plusx lab run NAME` "
        "measures one again (a training that was kept is not repeated), `--quick` shows in a minute or so how it is "
        "done, without a verdict (the experiments with networks of 56 layers take some minutes). The rule for a verdict was written before the measurement. Measured on {processor}, torch "
        "{torch}, on the day beside each; the trainings behind it may be older. Small networks train for "
        "{small} epochs (pooling's two heads for {heads}), those of 20 and 56 layers for {deep}; {seeds} seeds unless a "
        "table says otherwise, {spatial} in spatial-structure, one in gradient-flow and small-residuals. Accuracies are "
        "of the last epoch, ± the standard deviation over seeds. This page is written by `python scripts/publish_lab.py`.",
        "columns": "| experiment | verdict |\n| --- | --- |",
        "claim": "The lesson",
        "question": "Question",
        "rule": "Rule",
        "again": "Again",
        "code": "code",
    },
    "zh": {
        "file": "laboratory.zh-CN.md",
        "title": "课程的论断，逐条测量",
        "other": "[English](laboratory.md) · 中文",
        "intro": "课程的每个论断都是一个实验：`plusx lab list -l zh` 列出全部，`plusx lab run 名字 -l zh` 重新测量一个"
        "（已保存的训练不再重做），加 `--quick` 一分钟左右就能看到做法，但不下结论（用到 56 层网络的实验要几分钟）。判定规则在测量之前就已写定。测量环境：{processor}，torch {torch}，"
        "日期见各实验，所用的训练可能更早。小网络训练 {small} 轮（pooling 的两种输出头 {heads} 轮），20 和 56 层的网络训练 {deep} 轮；"
        "除表中另有说明外为 {seeds} 个种子，spatial-structure 为 {spatial} 个，gradient-flow 和 small-residuals 为 1 个。准确率均为最后一轮，± 为各种子的标准差。本页由 `python scripts/publish_lab.py` 生成。",
        "columns": "| 实验 | 结论 |\n| --- | --- |",
        "claim": "课程",
        "question": "问题",
        "rule": "规则",
        "again": "重做",
        "code": "代码",
    },
}


def cell(text: str) -> str:
    """Text that Markdown takes as it is."""
    return text.replace("|", "\\|")


def table_text(table: Table, language: Language) -> list[str]:
    """A table in Markdown."""
    heads = [cell(column.within(language)) for column in table.columns]
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    rows = [heads, rule, *([cell(text) for text in row] for row in table.cells(language))]
    return [f"*{cell(table.title.within(language))}*", "", *(f"| {' | '.join(row)} |" for row in rows), ""]


def page(results: dict[str, dict[str, Any]], language: Language) -> str:
    """The whole page in one language."""
    words = WORDS[language]
    first = next(iter(results.values()))
    intro = words["intro"].format(
        **{"processor": first["processor"], "torch": first["torch_version"]},
        **{
            "small": load_recipe(RECIPE).training.epochs,
            "heads": pooling.HEAD_EPOCHS,
            "deep": degradation.EPOCHS,
        },
        **{"seeds": degradation.SEEDS, "spatial": spatial_structure.SEEDS},
    )
    lines = [f"# {words['title']}", "", words["other"], "", intro, "", words["columns"]]
    for name, result in results.items():
        verdict = VERDICT_WORDS[result["verdict"]].within(language)
        lines.append(f"| [{name}](#{name}) | **{verdict}** |")
    for name, result in results.items():
        experiment = EXPERIMENTS[name]
        verdict = VERDICT_WORDS[experiment.judge(result["numbers"]).verdict].within(language)
        lines += [
            *("", f"## {name}", ""),
            *(f"> {words['claim']} ({result['section']}): {cell(experiment.CLAIM.within(language))}", ""),
            *(f"**{words['question']}.** {experiment.QUESTION.within(language)}", ""),
            *(f"**{words['rule']}.** {experiment.RULE.within(language)}", ""),
            *(f"**{verdict}.** {experiment.judge(result['numbers']).because.within(language)}", ""),
            *(f"![{name}](results/lab/{name}/figure.png)", ""),
        ]
        for table in experiment.tables(result["numbers"]):
            lines += table_text(table, language)
        lines.append(
            f"{words['again']}: `{result['command']}` · [{words['code']}](../{result['code']}) · "
            f"[result.json](results/lab/{name}/result.json) · {result['date'][:10]}"
        )
    return "\n".join(lines) + "\n"


def published() -> dict[str, dict[str, Any]]:
    """The results in docs/results/lab, in the lesson's order."""
    return {
        name: json.loads((TARGET / name / "result.json").read_text(encoding="utf-8"))
        for name in EXPERIMENTS
        if (TARGET / name / "result.json").exists()
    }


def reword() -> None:
    """Judge the published numbers anew, write what is said of them and draw them; the numbers stay."""
    for name, result in published().items():
        experiment = EXPERIMENTS[name]
        verdict, because = experiment.judge(result["numbers"])
        said = {"claim": experiment.CLAIM, "question": experiment.QUESTION, "rule": experiment.RULE}
        result |= {key: text._asdict() for key, text in said.items()}
        result |= {"verdict": verdict, "because": because._asdict()}
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        (TARGET / name / "result.json").write_text(text, encoding="utf-8")
        with applied(LIGHT):
            picture = to_png(experiment.draw(result["numbers"], LIGHT))
        (TARGET / name / "figure.png").write_bytes(picture)


def main(runs: Path | None) -> None:
    """Copy what is there, then write both pages from all that was ever copied."""
    for name in EXPERIMENTS if runs else ():
        assert runs is not None
        if (runs / name / "result.json").exists():
            text = (runs / name / "result.json").read_text(encoding="utf-8")
            if json.loads(text)["quick"]:
                raise SystemExit(f"{runs / name} is a quick run; its figures are not for publication")
            (TARGET / name).mkdir(parents=True, exist_ok=True)
            (TARGET / name / "result.json").write_text(text, encoding="utf-8")
    reword()
    # The app shows these curves from inside the package.
    shutil.copy(
        TARGET / "degradation" / "result.json",
        ROOT / "src" / "plusx" / "app" / "results" / "degradation.json",
    )
    results = published()
    for language, words in WORDS.items():
        (ROOT / "docs" / words["file"]).write_text(page(results, language), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
