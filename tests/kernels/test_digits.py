"""Drawn digits: ink by distance, labels by the generator's definition, images by their number alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from archcost.kernels.digits import SIDE, ink_piece
from archcost.train.synthetic import DrawnDigits
from tests.train.random_numbers import bits, chained


@pytest.mark.parametrize("end", [(9.0, 24.0), (21.5, 3.0), (8.25, 6.0)], ids=["across", "down", "point"])
def test_ink_follows_from_the_distance_to_the_path(end: tuple[float, float]) -> None:
    first, last, soft = np.array([8.25, 6.0, 1.5, 0.9]), np.array([*end, 2.5, 0.5]), 1.2
    canvas = np.zeros((SIDE, SIDE))
    ink_piece.py_func(canvas, np.stack([first, last]), 0, soft)
    places = np.moveaxis(np.indices((SIDE, SIDE)), 0, -1)
    direction = (last - first)[:2]
    along = np.clip((places - first[:2]) @ direction / max(direction @ direction, 1e-9), 0, 1)[..., np.newaxis]
    on_path = first + along * (last - first)
    distance = np.linalg.norm(places - on_path[..., :2], axis=-1)
    edge = np.clip((on_path[..., 2] - distance) / soft + 0.5, 0, 1)
    np.testing.assert_allclose(canvas, on_path[..., 3] * (3 * edge**2 - 2 * edge**3), atol=1e-12)
    assert canvas.max() > 0.4


def test_labels_follow_from_seed_part_and_number() -> None:
    for part, place in (("train", 0), ("test", 1)):
        found = DrawnDigits(50, 9, part).labels
        assert found.tolist() == [bits(chained(9, place, image), 0) % 10 for image in range(50)]


def test_an_image_follows_from_seed_part_and_number() -> None:
    images = DrawnDigits(300, 1, "train").take(np.arange(300))
    order = np.random.default_rng(0).permutation(300)
    again = DrawnDigits(400, 1, "train")
    with ThreadPoolExecutor(3) as pool:
        pieces = list(pool.map(again.take, np.array_split(order, 20)))
    np.testing.assert_array_equal(np.concatenate(pieces), images[order])
    np.testing.assert_array_equal(again.take(order), images[order])
    for other in (DrawnDigits(300, 2, "train"), DrawnDigits(300, 1, "test")):
        assert (other.take(np.arange(300)) != images).any(axis=(1, 2, 3)).all()
