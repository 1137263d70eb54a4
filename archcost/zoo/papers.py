"""The papers that the catalogue's networks come from: each stands here once."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    """A publication."""

    authors: str
    title: str
    year: int
    where: str

    def __str__(self) -> str:
        return f"{self.authors} {self.year}, {self.title}, {self.where}"


PAPERS: dict[str, Paper] = {
    "resnet": Paper("He et al.", "Deep Residual Learning for Image Recognition", 2016, "CVPR, arXiv:1512.03385"),
    "resnext": Paper(
        "Xie et al.", "Aggregated Residual Transformations for Deep Neural Networks", 2017, "CVPR, arXiv:1611.05431"
    ),
    "wide_resnet": Paper("Zagoruyko & Komodakis", "Wide Residual Networks", 2016, "BMVC, arXiv:1605.07146"),
}
