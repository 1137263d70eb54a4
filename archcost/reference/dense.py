"""Dense layers."""

from __future__ import annotations

from archcost.reference.work import Array, Count, Done, Work, loop


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
