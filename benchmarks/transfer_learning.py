"""What transfer learning is worth with few images: seven classes of CIFAR-10 first, then the other three.

    python benchmarks/transfer_learning.py [--data DIR] [--per-class 50] [--epochs 30] [--seeds 3]

An AlexNet-style network, built by hand, is trained on seven classes. Then the other three are learned from a few images
of each: from scratch, and from the seven classes' weights in the lecture's three ways. Accuracy is that of the three
classes' test images. DIR holds ``cifar10`` as the binary archive or as folders of images (default: ARCHCOST_DATA).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

import numpy as np

from archcost import ArchcostError, Graph, Network, Sequential
from archcost.interop.weights import state_of
from archcost.ops import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from archcost.train import Trainer
from archcost.train.dataset import Dataset, Split
from archcost.train.datasets import open_dataset
from archcost.train.optimizers import Adam
from archcost.train.schedules import Cosine
from archcost.train.transfer import PRESETS, load_pretrained, transfer

NEW = ("cat", "ship", "truck")
AUGMENT = "mirror,crop"
RATES = {"from scratch": 0.001, "feature-extract": 0.01, "fine-tune": 0.0005, "first-layers": 0.001}
"""Learning rate of each way: a new head alone needs a high one, fine-tuning a low one."""


def small_alexnet(classes: int) -> Graph:
    """Return AlexNet's pattern for 32x32 images: five convolutions, three poolings, three dense layers."""
    layers = {
        "conv1": Conv2d(32, 5, padding="same"), "relu1": ReLU(), "pool1": MaxPool2d(3, 2),
        "conv2": Conv2d(64, 5, padding="same"), "relu2": ReLU(), "pool2": MaxPool2d(3, 2),
        "conv3": Conv2d(96, 3, padding="same"), "relu3": ReLU(),
        "conv4": Conv2d(96, 3, padding="same"), "relu4": ReLU(),
        "conv5": Conv2d(64, 3, padding="same"), "relu5": ReLU(), "pool5": MaxPool2d(3, 2),
        "flatten": Flatten(), "drop6": Dropout(0.5), "fc6": Linear(256), "relu6": ReLU(),
        "drop7": Dropout(0.5), "fc7": Linear(128), "relu7": ReLU(), "fc8": Linear(classes),
    }  # fmt: skip
    return Sequential(layers, (3, 32, 32), name="small_alexnet")


def chosen(data: Dataset, names: Sequence[str], per_class: int | None = None) -> Dataset:
    """Return the classes of these names, with the first ``per_class`` training images of each."""
    labels = [data.classes.index(name) for name in names]

    def part(split: Split, most: int | None) -> Split:
        members = [np.flatnonzero(split.labels == label)[:most] for label in labels]
        numbers = np.concatenate([np.full(len(one), number) for number, one in enumerate(members)])
        return Split(split.take(np.concatenate(members)), numbers.astype(np.int64))

    return Dataset("+".join(names), tuple(names), part(data.train, per_class), part(data.test, None))


def accuracy(network: Network, data: Dataset, epochs: int, seed: int, rate: float) -> float:
    """Train and return the accuracy on the test images."""
    schedule = Cosine(rate, epochs)
    # Few images give few steps: smaller batches then.
    batch_size = 32 if len(data.train) > 1000 else 8
    options = {"batch_size": batch_size, "augment": AUGMENT, "seed": seed, "epochs": epochs}
    trainer = Trainer(network, data, optimizer=Adam(rate), schedule=schedule, **options)  # type: ignore[arg-type]
    return trainer.fit()[-1].test_accuracy


def main() -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--per-class", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    try:
        data = open_dataset("cifar10", arguments.data)
    except ArchcostError as error:
        print(f"archcost: error: {error}", file=sys.stderr)
        return 2
    old = chosen(data, [name for name in data.classes if name not in NEW])
    new = chosen(data, NEW, arguments.per_class)
    found: dict[str, list[float]] = {name: [] for name in ("from scratch", *PRESETS)}
    first = []
    for seed in range(arguments.seeds):
        teacher = Network(small_alexnet(len(old.classes)), seed=seed)
        first.append(accuracy(teacher, old, arguments.epochs, seed, RATES["from scratch"]))
        weights = state_of(teacher)
        for name, accuracies in found.items():
            graph = small_alexnet(len(new.classes))
            plan = transfer(graph, name) if name in PRESETS else None
            network = Network(graph, seed=seed, freeze=plan.freeze if plan else ())
            if plan:
                load_pretrained(network, weights)
            accuracies.append(accuracy(network, new, arguments.epochs, seed, RATES[name]))
    images = f"{len(new.train)} training images of {', '.join(NEW)}; {len(new.test)} test images"
    print(f"{images}; {arguments.epochs} epochs; means of {arguments.seeds} seeds. The seven other classes: ", end="")
    print(f"{len(old.train)} training images, accuracy {statistics.mean(first):.1%}.\n")
    print("| three classes | accuracy | lowest | highest |\n|---|---:|---:|---:|")
    for name, values in found.items():
        print(f"| {name} | {statistics.mean(values):.1%} | {min(values):.1%} | {max(values):.1%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
