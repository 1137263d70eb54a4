"""Products of two tensors that both come from the input: batches of small matrices, in plain loops.

    target[outer, row, column] = sum over k of first[outer, row, k] * second[outer, k, column]

Tables say where the elements of each matrix lie, so that transposed factors, broadcast ones and sums over the matrices
that share one are all this product. The factors of a unit are copied to memory of its own first; the innermost loop
goes along the columns, which the compiler turns into vectors. Each sum is added up in the order of k.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from archcost.geometry import Shape, product
from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Blocked
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.moves import lanes_cleared
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import image_starts, offsets_of
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit

UNIT_ROWS = 64
"""Most rows of a unit; the columns of the second factor are copied once for each of them."""


def contract_step(precision: Precision) -> Any:
    """Return the step function of products of matrices."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @function
    def multiply_matrices(row: int, _thread: int, threads: int) -> None:
        """Compute some rows of every product.

        Arguments: products, rows, columns, depth, rows of a unit, whether to add; table of the factors and the result:
        address, elements to each product, to each row, to each column (for the factors one of them is the depth).
        """
        words = integers(row)
        outer, rows, columns, depth, together, adds = words[1], words[2], words[3], words[4], words[5], words[6]
        table = numba.carray(integers(words[7]), (3, 4), np.int64)
        first, second = view(table[0, 0]), view(table[1, 0])
        target = view(table[2, 0])
        left, right = np.empty((together, depth), dtype), np.empty((depth, columns), dtype)
        result = np.empty((together, columns), dtype)
        pieces = (rows + together - 1) // together
        copied = -1
        unit = next_unit(row, -1, threads)
        while unit < outer * pieces:
            number = unit // pieces
            begin = (unit - number * pieces) * together
            count = min(together, rows - begin)
            start = integers(table[0, 1])[number]
            by_row = integers(table[0, 2])
            by_depth = integers(table[0, 3])
            for i in range(count):
                for k in range(depth):
                    left[i, k] = first[start + by_row[begin + i] + by_depth[k]]
            if copied != number:
                copied = number
                start = integers(table[1, 1])[number]
                by_depth = integers(table[1, 2])
                by_column = integers(table[1, 3])
                for k in range(depth):
                    for j in range(columns):
                        right[k, j] = second[start + by_depth[k] + by_column[j]]
            for i in range(count):
                line = result[i]
                line[:] = 0
                k = 0
                while k + 4 <= depth:
                    a, b, c, d = left[i, k], left[i, k + 1], left[i, k + 2], left[i, k + 3]
                    for j in range(columns):
                        value = line[j] + a * right[k, j]
                        value += b * right[k + 1, j]
                        value += c * right[k + 2, j]
                        line[j] = value + d * right[k + 3, j]
                    k += 4
                while k < depth:
                    a = left[i, k]
                    for j in range(columns):
                        line[j] += a * right[k, j]
                    k += 1
            start = integers(table[2, 1])[number]
            by_row = integers(table[2, 2])
            by_column = integers(table[2, 3])
            for i in range(count):
                for j in range(columns):
                    place = start + by_row[begin + i] + by_column[j]
                    target[place] = target[place] + result[i, j] if adds else result[i, j]
            unit = next_unit(row, unit, threads)

    return multiply_matrices


class Matrices(NamedTuple):
    """A batch of matrices in memory.

    Attributes:
        tensor: where they are.
        batch: elements to each matrix of an image, by the axes of the product's batch.
        rows: elements to each row.
        columns: elements to each column.
    """

    tensor: Blocked
    batch: Integers
    rows: Integers
    columns: Integers

    @classmethod
    def of(cls, tensor: Blocked, shape: Shape, batch: Shape) -> Matrices:
        """Return the matrices of the last two axes of a tensor, broadcast to the axes ``batch`` in front."""
        offsets = offsets_of(tensor, shape)
        corner = offsets[(0,) * (len(shape) - 2)]
        starts = np.broadcast_to(offsets[..., 0, 0], batch)
        return cls(tensor, starts, corner[:, 0] - corner[0, 0], corner[0] - corner[0, 0])

    @property
    def transposed(self) -> Matrices:
        """The same with rows and columns exchanged."""
        return self._replace(rows=self.columns, columns=self.rows)

    def cut(self, summed: tuple[int, ...]) -> tuple[Integers, Integers]:
        """Return the elements to each matrix but along the axes ``summed`` of the batch, and those along these."""
        kept = [axis for axis in range(self.batch.ndim) if axis not in summed]
        sizes = [self.batch.shape[axis] for axis in kept]
        table = self.batch.transpose(*kept, *summed).reshape(product(sizes), -1)
        starts = (image_starts(self.tensor)[:, None] + table[:, 0]).ravel()
        return np.ascontiguousarray(starts), table[0] - table[0, 0]


def contracted(
    target: Matrices,
    first: Matrices,
    second: Matrices,
    precision: Precision,
    *,
    summed: tuple[int, ...] = (),
    adds: bool = False,
) -> list[Step]:
    """Return the steps that set the matrices of ``target`` to products, summed over some axes of the batch.

    Args:
        target: (rows, columns), what is written.
        first: (rows, depth).
        second: (depth, columns).
        precision: element type.
        summed: axes of the batch whose products are added up.
        adds: add to the target.
    """
    outer, _ = target.cut(summed)
    tables = [outer, target.rows, target.columns]
    rows_of = []
    for factor, is_first in ((first, True), (second, False)):
        starts, along = factor.cut(summed)
        within = factor.columns if is_first else factor.rows
        depth = (along[:, None] + within).ravel()
        rows_of.append([starts, factor.rows, depth] if is_first else [starts, depth, factor.columns])
    rows_of.append(tables)
    kept = [[np.ascontiguousarray(table, np.int64) for table in line] for line in rows_of]
    table = tabled([
        (matrices.tensor.address(), *(int(one.ctypes.data) for one in line))
        for matrices, line in zip((first, second, target), kept)
    ])  # fmt: skip
    count, height, width, depth_size = len(outer), len(target.rows), len(target.columns), len(kept[0][2])
    arguments = (
        count, height, width, depth_size, min(height, UNIT_ROWS), int(adds), int(table.ctypes.data)
    )  # fmt: skip
    step = Step(
        compiled.address("step", "contract", "contract_step", precision), arguments,
        (target, first, second, table, kept), mult_adds=count * height * width * depth_size,
    )  # fmt: skip
    return [*([] if adds else lanes_cleared(target.tensor, precision)), step]


def _factors(operation: Operation) -> tuple[Shape, list[Matrices]]:
    """Return the axes of the batch, and the matrices of both inputs."""
    batch = operation.output_shape[:-2]
    return batch, [Matrices.of(tensor, shape, batch) for tensor, shape in zip(operation.inputs, operation.input_shapes)]


def forward(operation: Operation) -> list[Step]:
    """Return the steps of a product of two tensors."""
    batch, (first, second) = _factors(operation)
    target = Matrices.of(operation.output, operation.output_shape, batch)
    return contracted(target, first, second, operation.precision)


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients: to each factor the gradient times the other, summed where it was broadcast."""
    operation = gradient.forward
    batch, (first, second) = _factors(operation)
    above = Matrices.of(gradient.output, operation.output_shape, batch)
    steps: list[Step] = []
    for index, target in enumerate(gradient.inputs):
        if target is None:
            continue
        shape = operation.input_shapes[index]
        summed = tuple(axis for axis, (size, whole) in enumerate(zip(shape, batch)) if size == 1 < whole)
        ends = (above, second.transposed) if index == 0 else (first.transposed, above)
        written = Matrices.of(target, shape, batch)
        steps += contracted(written, *ends, operation.precision, summed=summed, adds=gradient.adds[index])
    return steps
