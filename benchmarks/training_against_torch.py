"""How fast training is beside torch: LeNet with Adam, in one process.

    python benchmarks/training_against_torch.py [--batch 64] [--threads 2] [--rounds 9] [--images 12800]

archcost trains as ``python -m archcost.train lenet`` does: images are fitted, normalised and put into batches by a
thread of their own. Torch has everything easier: its images lie in memory, padded and normalised, and a batch is taken
by indices; loss, backward and Adam are its own. In each round both see all images once, in changing order, with a pause
before; the ratio of a round is archcost's images per second over torch's. Evaluation is not counted on either side.
Needs torch: pip install "archcost[bench]".
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import archcost
from archcost.train import Trainer
from archcost.train.dataset import Dataset, Split
from archcost.train.optimizers import Adam
from archcost.train.synthetic import synthetic_digits

PAUSE = 0.2
TEST_IMAGES = 250


def digits(images: int) -> Dataset:
    """Return drawn digits, drawn already."""
    drawn = synthetic_digits(images, TEST_IMAGES)
    train, test = (Split(part.take(np.arange(len(part))), part.labels) for part in (drawn.train, drawn.test))
    return Dataset(drawn.name, drawn.classes, train, test)


class TorchTrainer:
    """The same training in torch.

    Args:
        torch: the module.
        trainer: whose images are taken, as it makes them.
        batch_size: images of a step.
    """

    def __init__(self, torch: Any, trainer: Trainer, batch_size: int) -> None:
        self._torch, self._batch_size = torch, batch_size
        batches = list(trainer.batches(trainer.dataset.train))
        self._images = torch.from_numpy(np.concatenate([images for images, _ in batches]))
        self._labels = torch.from_numpy(np.concatenate([labels for _, labels in batches]))
        nn = torch.nn
        self._model = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        self._optimizer = torch.optim.Adam(self._model.parameters(), 0.001)

    def images_per_second(self) -> float:
        """Train for one epoch."""
        start = time.perf_counter()
        order = self._torch.randperm(len(self._images))
        for first in range(0, len(order), self._batch_size):
            chosen = order[first : first + self._batch_size]
            self._optimizer.zero_grad()
            scores = self._model(self._images[chosen])
            self._torch.nn.functional.cross_entropy(scores, self._labels[chosen]).backward()
            self._optimizer.step()
        return len(order) / (time.perf_counter() - start)


def ours(trainer: Trainer) -> float:
    """Train for one epoch more and return its images per second."""
    trainer.epochs = len(trainer.history) + 1
    return trainer.fit()[-1].images_per_second


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=12_800)
    arguments = parser.parse_args()
    try:
        torch: Any = import_module("torch")
    except ImportError:
        print('torch is missing: pip install "archcost[bench]"', file=sys.stderr)
        return 2
    torch.set_num_threads(arguments.threads)
    network = archcost.Network(archcost.load("lenet"), threads=arguments.threads)
    trainer = Trainer(network, digits(arguments.images), optimizer=Adam(0.001), batch_size=arguments.batch, epochs=1)
    theirs = TorchTrainer(torch, trainer, arguments.batch)
    runs: list[tuple[str, Callable[[], float]]] = [
        ("archcost", lambda: ours(trainer)),
        ("torch", theirs.images_per_second),
    ]
    speeds: dict[str, list[float]] = {name: [] for name, _ in runs}
    for turn in range(arguments.rounds + 1):
        for name, run in runs if turn % 2 else runs[::-1]:
            time.sleep(PAUSE)
            speed = run()
            if turn:  # the first round compiles and warms up
                speeds[name].append(speed)
    ratios = sorted(one / other for one, other in zip(speeds["archcost"], speeds["torch"]))
    print(f"LeNet, Adam, batch {arguments.batch}, {arguments.threads} threads, torch {torch.__version__}\n")
    print("| | images/s (median) |\n|---|---:|")
    for name, values in speeds.items():
        print(f"| {name} | {statistics.median(values):,.0f} |")
    print(f"\narchcost / torch, by rounds: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
