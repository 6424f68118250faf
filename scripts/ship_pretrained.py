"""Make a run's network the one that comes with the package.

    python scripts/ship_pretrained.py runs/fast-seed0

Writes src/plusx/models/pretrained/cifar10.safetensors in float16, half the bytes, and its model card. What
the card says of accuracy is measured on the numbers as they will be shipped.
"""

import sys
from dataclasses import replace
from pathlib import Path

import plusx
from plusx.export import Measured, model_card
from plusx.files import write_whole
from plusx.inference import Classifier, doubt_below, predict, score
from plusx.models import PRETRAINED, save_weights

REMARK = (
    "It comes with the package, in float16, {bytes:,} bytes. Its seed is the first one, not the best one."
)


def main(run: Path) -> None:
    """Measure the rounded weights and write both files."""
    classifier = plusx.load(run)
    model, card = classifier.network, classifier.card
    rounded = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    model.load_state_dict(rounded)
    dataset = plusx.data.load("cifar10")
    plain = predict(model, dataset.test_images, card)
    views = predict(model, dataset.test_images, card, views="shift")
    card = replace(card, doubt=doubt_below(plain, dataset.test_labels))
    path = PRETRAINED["cifar10"]
    path.parent.mkdir(exist_ok=True)
    save_weights(path, model.half(), card)
    measured = Measured(
        "cifar10", dataset.test_labels, plain.numpy(), with_views=score(views, dataset.test_labels)[1]
    )
    text = model_card(
        "cifar10",
        Classifier(model.float(), card),
        measured,
        run=run,
        weights="cifar10",
        licence="apache-2.0",
        remark=REMARK.format(bytes=path.stat().st_size),
    )
    write_whole(path.with_name("MODEL_CARD.md"), text)
    print(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
