"""Shapes of the model's inputs: what the file leaves open is bound by the image's size; an open batch is one image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from archcost.errors import ModelError
from archcost.geometry import Shape, product, shape_text

if TYPE_CHECKING:
    from onnx import ValueInfoProto

LARGEST_INPUT = 2**40


def bound_shapes(inputs: Iterable[ValueInfoProto], input_size: Shape | None) -> dict[str, Shape]:
    """Return the shape of every input, the batch included.

    Args:
        inputs: the model's inputs.
        input_size: shape of one image; None if there is none to bind.

    Raises:
        ModelError: for an axis that stays open, or a size that the file has fixed otherwise.
    """
    open_inputs = list(inputs)
    shapes: dict[str, Shape] = {}
    for one in open_inputs:
        if not one.type.HasField("tensor_type"):
            raise ModelError(f"input {one.name[:80]!r} is no tensor")
        shapes[one.name] = _bound(one, input_size)
    if not shapes:
        raise ModelError("it has no input")
    images = [shape for shape in shapes.values() if len(shape) == 4]
    if input_size is not None and not any(shape[1:] == input_size for shape in images):
        given = ", ".join(f"{name[:80]!r} {shape_text(shape)}" for name, shape in shapes.items())
        raise ModelError(f"`--input-size` {shape_text(input_size)} fits none of its inputs ({given})")
    return shapes


def _bound(one: ValueInfoProto, input_size: Shape | None) -> Shape:
    where = f"input {one.name[:80]!r}"
    tensor = one.type.tensor_type
    if not tensor.HasField("shape"):
        if input_size is None:
            raise ModelError(f"{where} has no shape in the file; give that of one image with `--input-size CxHxW`")
        return 1, *input_size
    sizes = [_size(dimension.dim_value) for dimension in tensor.shape.dim]
    names = [str(size or dimension.dim_param or "?") for size, dimension in zip(sizes, tensor.shape.dim)]
    text = "x".join(name[:20] for name in names[:16])
    if input_size is not None and len(sizes) == 4:
        fixed = [size for size, wanted in zip(sizes[1:], input_size) if size is not None and size != wanted]
        if fixed:
            raise ModelError(f"{where} is {text} in the file: `--input-size` binds only axes that it leaves open")
        sizes[1:] = input_size
    if sizes and sizes[0] is None:
        sizes[0] = 1
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) < len(sizes):
        how = " (three numbers, for an input of four axes)" if len(sizes) != 4 else ""
        raise ModelError(f"{where} is {text}: bind the open axes with `--input-size CxHxW`{how}")
    if product(shape) > LARGEST_INPUT:
        raise ModelError(f"{where} is {text[:80]}, which is too large")
    return shape


def _size(value: int) -> int | None:
    """Return a size of the file, or None where it is open."""
    return value if value > 0 else None


def batch_of(shapes: Mapping[str, Shape]) -> int | None:
    """Return the size of the first axis if all inputs have the same; None if there is no such axis."""
    first = {shape[0] if shape else None for shape in shapes.values()}
    return first.pop() if len(first) == 1 else None
