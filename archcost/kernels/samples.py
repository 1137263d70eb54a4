"""The layout of small networks: lanes are samples.

    [group][channel][halo + height + halo][halo + width + halo][lanes]

A group is as many images as a vector has lanes. In memory it is a tensor of the engine's usual layout whose images are
groups and whose blocks are channels, so that whatever works element by element or over windows (activations, pooling,
addition) serves both. Only layers that mix channels differ (``sample_conv``), and what enters and leaves.
"""

from __future__ import annotations

from archcost.geometry import Shape, Sides
from archcost.kernels.layout import NO_HALO, Array, Blocked
from archcost.kernels.plain import Direction, Steps, conversion
from archcost.kernels.step import Step
from archcost.kernels.target import Precision, Target


def spread_shape(shape: Shape, lanes: int) -> tuple[int, ...]:
    """Return the shape of a tensor of the usual layout that takes the same memory: a block for each channel."""
    return shape[0] * lanes, *shape[1:]


def converted(
    direction: Direction, tensor: Blocked, plain: Array | int, steps: Steps, machine: Target, precision: Precision
) -> list[Step]:
    """Return the steps that move elements between a tensor whose lanes are samples and a plain array.

    Args:
        direction: "read" fills the plain array; "write" fills the tensor.
        tensor: groups of samples.
        plain: the array, or its address.
        steps: bytes in the plain array from an image, channel, row and column to the next.
        machine: which vectors there are.
        precision: element type.
    """
    address = plain if isinstance(plain, int) else int(plain.ctypes.data)
    lanes, channels, (_, height, width) = tensor.lanes, tensor.memory.shape[1], tensor.shape
    is_line = not any(map(any, tensor.halo)) and (steps.channel, steps.row) == (
        height * width * steps.column,
        width * steps.column,
    )

    def moved(memory: Array, shape: tuple[int, int], halo: Sides, start: int, image: int) -> Step:
        """Return the step for some images of samples: what is a channel in the usual layout is a sample here."""
        images = Blocked(len(memory), (lanes, *shape), halo, lanes, memory)
        distances = Steps(image, steps.image, steps.row, steps.column)
        return conversion(direction, images, start, machine, precision, steps=distances, keep=(plain, tensor))

    if is_line:
        memory = tensor.memory.reshape(tensor.images, 1, 1, -1, lanes)
        return [moved(memory, (1, channels * height * width), NO_HALO, address, lanes * steps.image)]
    return [
        moved(group[:, None], (height, width), tensor.halo, address + number * lanes * steps.image, steps.channel)
        for number, group in enumerate(tensor.memory)
    ]


def entered(tensor: Blocked, plain: Array, shape: Shape, machine: Target, precision: Precision) -> list[Step]:
    """Return the steps that fill a tensor from a contiguous array (N, *shape)."""
    image = (shape[0], *(shape[1:] or (1, 1)))
    steps = Steps.of((image[0], image[1], image[2]), plain.itemsize)
    return converted("write", tensor, plain, steps, machine, precision)


def exchanged(
    direction: Direction, tensor: Blocked, usual: Blocked, machine: Target, precision: Precision
) -> list[Step]:
    """Return the steps that copy vectors of features to ("read") or from ("write") a tensor of the usual layout.

    Args:
        direction: "read" fills ``usual``; "write" fills ``tensor``.
        tensor: groups of samples of (features,).
        usual: (N, features).
        machine: which vectors there are.
        precision: element type.
    """
    size = usual.memory.itemsize
    steps = Steps(usual.image_step, size, size, size)
    return converted(direction, tensor, usual.address(), steps, machine, precision)
