"""Addition and multiplication of any number of tensors that are broadcast to one shape."""

from __future__ import annotations

from archcost.kernels import arithmetic
from archcost.kernels.layout import NO_HALO, Blocked
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.pointwise import Operand, fitted, pointwise
from archcost.kernels.reduce import channel_sums, collected
from archcost.kernels.reduce_axes import reduced
from archcost.kernels.step import Step
from archcost.ops import Add, Mul


def forward(operation: Operation) -> list[Step]:
    """Return the step of a sum or a product; the output may be the memory of an input of its shape."""
    if not _all_fit(operation):
        return arithmetic.forward(operation)
    formula = "multiply" if isinstance(operation.op, Mul) else "add"
    operands = [fitted(tensor, operation.output) for tensor in operation.inputs]
    machine, precision = operation.machine, operation.precision
    return [pointwise(formula, operation.output, operands, machine, precision, operation.inputs)]


def scaled(operation: Operation, residual: Blocked | None, activation: str) -> list[Step]:
    """Return the step of a map times a gate for each channel, plus a shortcut, with an activation behind.

    Args:
        operation: the product of a map and of a map of one pixel; its output is that of the last operator.
        residual: what is added, or None.
        activation: what is applied last.
    """
    summands = [residual] if residual is not None else []
    operands = [fitted(tensor, operation.output) for tensor in (*operation.inputs, *summands)]
    setting = operation.machine, operation.precision
    formula = f"scaled:{activation}"
    return [pointwise(formula, operation.output, operands, *setting, [*operation.inputs, *summands])]


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients: the output's, times the other factors of a product, summed where broadcast."""
    if not _all_fit(gradient.forward):
        return arithmetic.backward(gradient)
    steps = []
    for index, target in enumerate(gradient.inputs):
        # A sum's gradient is handed on where it is.
        in_place = target is not None and target.address() == gradient.output.address()
        if target is not None and not (in_place and isinstance(gradient.forward.op, Add)):
            steps += _to_input(gradient, index, target)
    return steps


def _all_fit(operation: Operation) -> bool:
    """Tell whether vector code reads all inputs as they are."""
    ends = operation.output, operation.output_shape
    return all(arithmetic.fits(tensor, shape, *ends) for tensor, shape in zip(operation.inputs, operation.input_shapes))


def _to_input(gradient: Gradient, index: int, target: Blocked) -> list[Step]:
    operation, output, adds = gradient.forward, gradient.output, gradient.adds[index]
    machine, precision = operation.machine, operation.precision
    others = list(operation.inputs) if isinstance(operation.op, Mul) else []
    if others:
        del others[index]
    operands = [Operand.exact(output), *(fitted(tensor, output) for tensor in others)]
    keep = [output, *others]
    formula = "multiply" if others else "copy"
    if target.shape == output.shape:
        return [pointwise(formula, target, operands, machine, precision, keep, adds=adds)]
    if target.shape == (output.shape[0], 1, 1):
        step, sums = channel_sums("product", output, operands, machine, precision, keep, per_image=True)
        return [step, collected(sums, 0, output, target, precision, adds=adds)]
    steps = []
    products = output
    if others:
        products = Blocked.make(output.images, output.shape, NO_HALO, output.lanes, output.memory.dtype)
        steps.append(pointwise(formula, products, operands, machine, precision, keep))
    distances = (target.image_step, target.block_step, target.memory.itemsize, target.row_step, target.pixel_step)
    elements = [distance // target.memory.itemsize for distance in distances]
    sizes = (output.images, *target.shape)
    return [*steps, reduced(products, sizes, target.address(), elements, precision, target, adds=adds)]
