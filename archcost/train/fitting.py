"""How images of a data set become the network's input: padded or resized, grey repeated or colours made grey."""

from __future__ import annotations

from dataclasses import dataclass

from archcost.errors import UsageError
from archcost.geometry import shape_text

LARGEST_FRAME = 1.25
"""Up to this many times an image's side, a larger input is filled up with black (28 pixels to LeNet's 32)."""


@dataclass(frozen=True)
class Fitting:
    """A way from one shape to the other.

    Attributes:
        source: channels, height and width of the images.
        target: those of the network's input.
        resized: whether an image fills the input; else it lies in the middle of it, in black.
        note: one line that says what is done; empty if nothing is.
    """

    source: tuple[int, int, int]
    target: tuple[int, int, int]
    resized: bool
    note: str


def fitting(source: tuple[int, int, int], target: tuple[int, int, int]) -> Fitting:
    """Decide how images become the network's input.

    An input that is a little larger than the image is filled up with black; any other size is interpolated bilinearly
    (averaging where pixels are lost).

    Args:
        source: channels, height and width of the images.
        target: those of the network's input.

    Returns:
        What is done: ``input 1x28x28 padded to 1x32x32``.

    Raises:
        UsageError: if the number of channels cannot be changed to the other, or a size is not positive.
    """
    if min(target) < 1:
        raise UsageError(f"`size` (={shape_text(target)}) must be channels, height and width, all above 0")
    channels, sides = source[0], source[1:]
    planes, wanted = target[0], target[1:]
    if channels != planes and 1 not in {channels, planes}:
        raise UsageError(f"images of {channels} channels cannot be fed to an input of {planes} channels")
    if planes == 1 and channels not in {1, 3}:
        raise UsageError(f"images of {channels} channels cannot be made grey; 3 (red, green, blue) can")
    padded = all(side <= size <= LARGEST_FRAME * side for side, size in zip(sides, wanted))
    done = []
    if wanted != sides:
        stretched = sides[0] * wanted[1] != sides[1] * wanted[0]
        done.append("padded" if padded else "resized and stretched" if stretched else "resized")
    if channels != planes:
        done.append(f"repeated in {planes} channels" if channels == 1 else "made grey")
    note = f"input {shape_text(source)} {' and '.join(done)} to {shape_text(target)}" if done else ""
    return Fitting(source, target, not padded, note)
