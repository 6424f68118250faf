"""Make a run's network the one that comes with the package.

    python scripts/ship_pretrained.py runs/fast-seed0

Writes src/plusx/models/pretrained/cifar10.safetensors in float16, half the bytes, and its model card. What
the card says of accuracy is measured on the numbers as they will be shipped.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import plusx
from plusx.files import write_whole
from plusx.inference import doubt_below, predict, score
from plusx.models import PRETRAINED, save_weights

CARD = """---
library_name: plusx
license: apache-2.0
pipeline_tag: image-classification
datasets: [cifar10]
metrics: [accuracy]
---

# The network that comes with plusx

`{model}`, {parameters:,} parameters, float16, {bytes:,} bytes. It names ten things on pictures of 32×32
pixels: {classes}. Larger pictures are
reduced to their central square of 32×32 first, so small things on them are lost.

- **Made by** `{command}` on {date}: recipe `{recipe}`, seed {seed}, {epochs} epochs,
  {minutes:.1f} minutes on {processor}, {threads} threads, {precision}.
  The seed is the first one, not the best one.
- **Accuracy on CIFAR-10's 10 000 test pictures**, of these float16 weights in float32 arithmetic:
  {accuracy:.2f} %; averaged over six views {with_views:.2f} %.
- **Doubt**: 95 % of the right answers there have a probability of at least {doubt:.2f}. An answer below it
  is marked "looks like none of the classes"; so are {flagged:.0f} % of the wrong answers. It is a hint: the
  network knows no eleventh class.
- **Training data**: the 50 000 training pictures of CIFAR-10 (Krizhevsky 2009), nothing else. What those
  lack, it lacks.
- **Not for** decisions about people or anything else that matters.
"""


def main(run: Path) -> None:
    """Measure the rounded weights and write both files."""
    model = plusx.models.load(run)
    rounded = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    model.load_state_dict(rounded)
    dataset = plusx.data.load("cifar10")
    plain = predict(model, dataset.test_images, model.card)
    views = predict(model, dataset.test_images, model.card, views="shift")
    card = replace(model.card, doubt=doubt_below(plain, dataset.test_labels))
    path = PRETRAINED["cifar10"]
    path.parent.mkdir(exist_ok=True)
    save_weights(path, model.half(), card)
    result, environment = (
        json.loads((run / f"{name}.json").read_text()) for name in ("result", "environment")
    )
    surest, answers = plain.max(1)
    wrong = answers.numpy() != dataset.test_labels
    facts = {key: environment[key] for key in ("command", "processor", "threads", "precision")}
    facts |= {key: result[key] for key in ("model", "parameters", "recipe", "seed", "epochs")}
    text = CARD.format(
        **facts,
        date=environment["date"][:10],
        minutes=result["seconds"]["train"] / 60,
        bytes=path.stat().st_size,
        classes=", ".join(card.classes),
        accuracy=100 * score(plain, dataset.test_labels)[1],
        with_views=100 * score(views, dataset.test_labels)[1],
        doubt=card.doubt,
        flagged=100 * float((surest.numpy()[wrong] < card.doubt).mean()),
    )
    write_whole(path.with_name("MODEL_CARD.md"), text)
    print(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
