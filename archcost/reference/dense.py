"""Dense layers."""

from __future__ import annotations

from archcost.reference.work import Array, Count, Done, Work, integers, loop, place, strides_of


@loop
def _multiply(x: Array, weight: Array, bias: Array, y: Array) -> tuple[int, int]:
    mult_adds, written = 0, 0
    outputs, inputs = weight.shape
    for row in range(len(x)):
        for out in range(outputs):
            total = float(bias[out])
            for i in range(inputs):
                total += float(x[row, i]) * weight[out, i]
                mult_adds += 1
            y[row, out] = total
            written += 1
    return mult_adds, written


def linear(work: Work) -> Done:
    """Weight times the last axis, plus bias."""
    x, weight = work.input, work.parameters["weight"]
    outputs, inputs = weight.shape
    y = work.empty((*x.shape[:-1], outputs))
    bias = work.learned("bias", outputs, 0)
    return y, Count(*_multiply(x.reshape(-1, inputs), weight, bias, y.reshape(-1, outputs)))


@loop
def _products(a: Array, b: Array, y: Array, shape: Array, a_strides: Array, b_strides: Array) -> tuple[int, int]:
    mult_adds, written = 0, 0
    count, rows, columns = y.shape
    for matrix in range(count):
        first, second = place(matrix, shape, a_strides), place(matrix, shape, b_strides)
        for i in range(rows):
            for j in range(columns):
                total = 0.0
                for k in range(a.shape[2]):
                    total += float(a[first, i, k]) * b[second, k, j]
                    mult_adds += 1
                y[matrix, i, j] = total
                written += 1
    return mult_adds, written


def matrix_product(work: Work) -> Done:
    """Rows of the one input times columns of the other, for each matrix; an axis of size 1 is read again and again."""
    a, b = work.inputs
    shape = tuple(max(sizes) for sizes in zip(a.shape[:-2], b.shape[:-2]))
    a_steps, b_steps = (
        integers([step if size > 1 else 0 for step, size in zip(strides_of(x.shape[:-2]), x.shape)]) for x in (a, b)
    )
    y = work.empty((*shape, a.shape[-2], b.shape[-1]))
    left, right, made = (x.reshape(-1, *x.shape[-2:]) for x in (a, b, y))
    return y, Count(*_products(left, right, made, integers(shape), a_steps, b_steps))


@loop
def _distances(x: Array, prototypes: Array, y: Array) -> int:
    written = 0
    outputs, inputs = prototypes.shape
    for row in range(len(x)):
        for out in range(outputs):
            total = 0.0
            for i in range(inputs):
                total += (float(x[row, i]) - prototypes[out, i]) ** 2
            y[row, out] = total
            written += 1
    return written


def radial_basis(work: Work) -> Done:
    """Squared distance of the last axis to each prototype."""
    x, prototypes = work.input, work.buffers["prototypes"]
    outputs, inputs = prototypes.shape
    y = work.empty((*x.shape[:-1], outputs))
    return y, Count(0, _distances(x.reshape(-1, inputs), prototypes, y.reshape(-1, outputs)))
