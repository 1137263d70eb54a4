"""The outputs of a contraction as a grid, in the simplest form that the steps between them allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archcost.kernels.panels import fitting_vectors
from archcost.kernels.pointwise import Operand
from archcost.kernels.target import Target

ROWS_OF_TILE = 4
"""Most rows of a tile: each of them takes registers for its addresses."""

NOTHING = Operand(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Field:
    """The outputs of a contraction, and where each of them finds its input: a grid of images, rows and columns.

    Attributes:
        images, rows, columns: sizes.
        source: input of the first output at a tap offset of 0; steps from output to output.
        target: output.
        residual: what is added before the activation; its address is 0 if nothing is.
    """

    images: int
    rows: int
    columns: int
    source: Operand
    target: Operand
    residual: Operand = NOTHING

    def simplified(self) -> Field:
        """Return the same outputs with the longest rows: axes that continue each other are one.

        A map of one column is one row; if it is one pixel, the images are its columns (dense layers), and if it is one
        short row, they are its rows. Output and residual have one step from column to column.
        """
        field = self
        if field.columns == 1 and field.writes_alike("row_step"):
            field = field.moved(field.images, 1, field.rows, lambda o: (o.image_step, 0, o.row_step))
        if field.rows > 1 and all(o.row_step == field.columns * o.pixel_step for o in field.operands):
            field = field.moved(field.images, 1, field.rows * field.columns, lambda o: (o.image_step, 0, o.pixel_step))
        if field.columns == 1 and field.rows == 1 and field.writes_alike("image_step"):
            field = field.moved(1, 1, field.images, lambda o: (0, 0, o.image_step))
        elif field.rows == 1:
            field = field.moved(1, field.images, field.columns, lambda o: (0, o.image_step, o.pixel_step))
        return field

    @property
    def operands(self) -> list[Operand]:
        """What there is of source, target and residual."""
        return [self.source, self.target, *([self.residual] if self.residual.address else [])]

    def writes_alike(self, step: str) -> bool:
        """Return whether output and residual have the same step of this name."""
        return len({getattr(operand, step) for operand in self.operands[1:]}) == 1

    def moved(self, images: int, rows: int, columns: int, steps: Any) -> Field:
        """Return the field with other sizes; ``steps`` gives an operand's steps of image, row and pixel."""

        def turned(operand: Operand) -> Operand:
            image, row, pixel = steps(operand)
            return operand._replace(image_step=image, row_step=row, pixel_step=pixel)

        return Field(images, rows, columns, turned(self.source), turned(self.target), turned(self.residual))

    def pixels(self, machine: Target) -> int:
        """Return how many outputs a tile of panels of two vectors would have."""
        longest = machine.tile_pixels(2)
        return min(longest, self.columns * tile_rows(self.rows, self.columns, longest))

    def vectors(self, blocks: int, machine: Target) -> int:
        """Return how many vectors the panels should have, if there are ``blocks`` blocks of output channels."""
        return fitting_vectors(self.pixels(machine), blocks, machine)


def tile_rows(rows: int, columns: int, longest: int) -> int:
    """Return the rows of a tile of at most ``longest`` pixels."""
    return max(1, min(rows, longest // columns, ROWS_OF_TILE))
