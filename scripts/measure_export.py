"""Measure the network that comes with plusx, in PyTorch and as ONNX files, for docs/export.md.

    python scripts/measure_export.py measure
    python scripts/measure_export.py

The first form measures size, accuracy over CIFAR-10's test pictures and speed, writes
docs/results/export/cifar10.json, and then does what the second does: it rebuilds the tables between the
`results` marks of both languages from that file. The fastest turn
counts: what else runs on the machine can only slow one down.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from results_table import rewrite

import plusx
from plusx.bench.timing import alternate, timed
from plusx.commands.export import CALIBRATION
from plusx.environment import instructions, processor
from plusx.export import save_state, to_onnx
from plusx.files import write_whole
from plusx.inference import Classifier, normalise, score

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "results" / "export" / "cifar10.json"
PYTORCH, FLOAT32, INT8 = WAYS = ("PyTorch, native, float32", "ONNX, float32", "ONNX, int8")
CASES = [(threads, batch) for threads in (1, 2) for batch in (1, 100)]
ROUNDS = 60
WORDS = {
    "export.md": {
        "head": "| | bytes | test accuracy | 1 thread, 1 picture | 1 thread, 100 "
        "| 2 threads, 1 | 2 threads, 100 |",
        "measured": "Pictures a second by so many threads and with so many pictures in a call, in the "
        "fastest of {rounds} turns. Measured on {processor} ({instructions}); plusx {plusx}, torch {torch}, "
        "onnxruntime {onnxruntime}; {date}; load average {load_average:.1f}.",
    },
    "export.zh-CN.md": {
        "head": "| | 字节 | 测试准确率 | 1 线程，1 张 | 1 线程，100 张 | 2 线程，1 张 | 2 线程，100 张 |",
        "measured": "右边四列：用这么多线程、每次调用给这么多张图片时每秒的图片数，"
        "取 {rounds} 轮中最快的一轮。测量环境："
        "{processor}（{instructions}），plusx {plusx}，torch {torch}，onnxruntime {onnxruntime}，{date}，"
        "负载 {load_average:.1f}。",
    },
}


def measure() -> dict[str, Any]:
    """Everything that the tables show, and the spread behind it."""
    classifier = plusx.load("cifar10")
    dataset = plusx.data.load("cifar10")
    mean, std = torch.tensor(classifier.card.mean), torch.tensor(classifier.card.std)
    pictures = normalise(torch.from_numpy(dataset.test_images[:100]), mean, std)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {PYTORCH: folder / "state.safetensors", FLOAT32: folder / "32.onnx", INT8: folder / "8.onnx"}
        save_state(classifier.network, files[PYTORCH])
        found = to_onnx(classifier, files[FLOAT32], check_on=dataset.test_images)
        calibration = dataset.feed(torch.device("cpu")).sample(CALIBRATION).numpy()
        found8 = to_onnx(classifier, files[INT8], calibration=calibration, check_on=dataset.test_images)
        answers = {PYTORCH: found.original, FLOAT32: found.probabilities, INT8: found8.probabilities}
        rows = [
            {"way": way, "threads": threads, "batch": batch, "images_per_second": rates}
            for threads, batch in CASES
            for way, rates in speeds(classifier, files, pictures, threads, batch).items()
        ]
        return {
            "command": "python scripts/measure_export.py measure",
            "date": time.strftime("%Y-%m-%d"),
            "plusx": plusx.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
            "processor": processor(),
            "instructions": instructions(),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "rounds": ROUNDS,
            "pictures": len(dataset.test_labels),
            "files": [
                {
                    "way": way,
                    "bytes": files[way].stat().st_size,
                    "accuracy": score(answers[way], dataset.test_labels)[1],
                    "same_answers": float((answers[way].argmax(1) == found.original.argmax(1)).mean()),
                    "largest_difference": float(np.abs(answers[way] - found.original).max()),
                }
                for way in WAYS
            ],
            "rows": rows,
        }


def speeds(
    classifier: Classifier, files: dict[str, Path], pictures: torch.Tensor, threads: int, batch: int
) -> dict[str, list[float]]:
    """Pictures a second of each way, from normalised pictures to probabilities: fastest, median, slowest."""
    x = pictures[:batch]
    feed = {"pictures": x.contiguous().numpy()}
    times = 10 if batch == 1 else 1
    torch.set_num_threads(threads)

    @torch.inference_mode()
    def pytorch() -> None:
        with plusx.engine("native"):
            for _ in range(times):
                classifier.network(x).softmax(1)

    def onnx(path: Path) -> Callable[[], None]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def call() -> None:
            for _ in range(times):
                session.run(None, feed)

        return call

    calls = {PYTORCH: pytorch, FLOAT32: onnx(files[FLOAT32]), INT8: onnx(files[INT8])}
    turns = alternate({way: partial(timed, call) for way, call in calls.items()}, ROUNDS)
    found = {}
    for way, seconds in turns.items():
        rates = sorted(times * batch / second for second in seconds)
        found[way] = [round(rate, 1) for rate in (rates[-1], statistics.median(rates), rates[0])]
    return found


def table(result: dict[str, Any], words: dict[str, str]) -> str:
    """The table in Markdown, and the line on where it was measured."""
    lines = [words["head"], "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for file in result["files"]:
        rates = {
            (row["threads"], row["batch"]): row["images_per_second"][0]
            for row in result["rows"]
            if row["way"] == file["way"]
        }
        cells = (f"{rates[case]:,.0f}" for case in CASES)
        size, accuracy = f"{file['bytes']:,}", f"{100 * file['accuracy']:.2f} %"
        lines.append(f"| {' | '.join((file['way'], size, accuracy, *cells))} |")
    return "\n".join([*lines, "", words["measured"].format(**result)])


def main(arguments: list[str]) -> None:
    """Measure, if asked to, and rebuild the tables."""
    if arguments == ["measure"]:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        write_whole(RESULT, json.dumps(measure(), indent=2) + "\n")
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    for name, words in WORDS.items():
        rewrite(ROOT / "docs" / name, table(result, words))


if __name__ == "__main__":
    main(sys.argv[1:])
