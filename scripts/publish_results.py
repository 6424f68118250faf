"""Bring finished runs into docs/results, and write the tables of results from what lies there.

    python scripts/publish_results.py runs/fast-seed0 docs/results/fast/seed0
    python scripts/publish_results.py

The first form copies a run's small files (all but weights and checkpoints) and then does what the second
does: it rebuilds the tables between the `results` marks of README.md and README.zh-CN.md. So no figure is
typed by hand.
"""

import json
import re
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from results_table import rewrite

ROOT = Path(__file__).parents[1]
FILES = (
    *("result.json", "metrics.jsonl", "recipe.toml", "environment.json"),
    *("curves.png", "confusion.png", "mistakes.png", "terminal.svg"),
)
WORDS = {
    "README.md": {
        "head": "| command | processor | numbers | epochs | test accuracy | with test-time views "
        "| training time |",
        "mean": "mean ± standard deviation of the {} seeds",
        "several": "`plusx train {}`, {} seeds",
        "minutes": "min",
        "measured": "Measured with {threads} threads; plusx {plusx}, torch {torch}; {date}.",
    },
    "README.zh-CN.md": {
        "head": "| 命令 | 处理器 | 数值类型 | 轮数 | 测试准确率 | 加测试时多视图 | 训练时间 |",
        "mean": "{} 个种子的平均值 ± 标准差",
        "several": "`plusx train {}`，{} 个种子",
        "minutes": "分钟",
        "measured": "测量环境：{threads} 线程；plusx {plusx}，torch {torch}；{date}。",
    },
}


def read(folder: Path, name: str) -> Any:
    """One of a run's JSON files."""
    return json.loads((folder / name).read_text(encoding="utf-8"))


def row(command: str, places: list[dict[str, Any]], runs: list[dict[str, Any]], minutes: str) -> str:
    """One row of the table: a run, or the mean of several with their spread, and where they ran."""

    def percent(key: str) -> str:
        values = [100 * run[key] for run in runs]
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.2f}{spread} %"

    time = statistics.mean(run["seconds"]["train"] for run in runs) / 60
    processors = dict.fromkeys(re.sub(r"\(R\)| Processor", "", place["processor"]) for place in places)
    cells = (
        command,
        ", ".join(processors),
        ", ".join(dict.fromkeys(place["precision"] for place in places)),
        str(runs[0]["epochs"]),
        percent("test_accuracy"),
        percent("test_accuracy_tta"),
    )
    return f"| {' | '.join(cells)} | {time:.1f} {minutes} |"


def table(words: dict[str, str], results: Path) -> str:
    """The table of published runs: the default's one by one and their mean, then a row a folder."""
    lines = [words["head"], "| --- | --- | --- | --- | --- | --- | --- |"]
    environments = []
    groups = sorted({path.parents[1] for path in results.glob("*/seed*/recipe.toml")})
    for group in sorted(groups, key=lambda group: group.name != "fast"):
        folders = sorted(group.iterdir())
        runs = [read(folder, "result.json") for folder in folders]
        places = [read(folder, "environment.json") for folder in folders]
        environments += places
        if len(runs) > 1 and group.name != "fast":
            command = words["several"].format(runs[0]["recipe"], len(runs))
            lines.append(row(f"[{command}](docs/results/{group.name})", places, runs, words["minutes"]))
            continue
        for folder, run, place in zip(folders, runs, places, strict=True):
            command = f"[`{place['command']}`](docs/results/{group.name}/{folder.name})"
            lines.append(row(command, [place], [run], words["minutes"]))
        if len(runs) > 1:
            mean = row(words["mean"].format(len(runs)), places, runs, words["minutes"])
            lines.append(re.sub(r"\| (\d+\.\d+ ± \d+\.\d+ %) \|", r"| **\1** |", mean, count=1))
    days = sorted({environment["date"][:10] for environment in environments})
    date = days[0] if len(days) == 1 else f"{days[0]} – {days[-1]}"
    measured = dict.fromkeys(words["measured"].format(**e | {"date": date}) for e in environments)
    return "\n".join([*lines, "", *measured])


def main(arguments: list[str]) -> None:
    """Copy the run, if one is named, and rebuild the tables."""
    if arguments:
        run, destination = map(Path, arguments)
        destination.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(run / name, destination / name)
    for name, words in WORDS.items():
        rewrite(ROOT / name, table(words, ROOT / "docs" / "results"))


if __name__ == "__main__":
    main(sys.argv[1:])
