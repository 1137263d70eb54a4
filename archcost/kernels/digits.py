"""Draws handwritten-like digits: a skeleton of strokes, bent and placed, inked by the distance from the pen's path.

Image i follows from the data set's seed, the part and i alone. Only sums, products, quotients and square roots go into
it, which are the same on every machine.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from archcost.kernels.direct import unsigned8s
from archcost.kernels.function import function
from archcost.kernels.machine import float64s, integers
from archcost.kernels.random_numbers import bits, mix, normal, symmetric, uniform
from archcost.kernels.smooth_field import draw_field, field_line, on_line
from archcost.kernels.units import next_unit

SIDE = 28
"""Rows and columns of an image."""

CELLS = 3
"""Cells of the elastic distortion's grid, along each side of the digit's box."""

PIECES_OF_A_CURVE = 6
"""Straight pieces that a curve between two points of a skeleton is drawn with."""

OF_POINTS, OF_FIELD, OF_SPOTS, OF_PIXELS = 64, 512, 1024, 2048
"""Where the random numbers of points, distortion, spots and pixels begin; those of the whole digit begin at 0."""

JITTER, BENDING = 0.04, 0.095
"""Standard deviations of the points' and the grid vectors' displacements, in the digit's box."""

ROTATION, SLANT, LEAN = 0.13, 0.20, 0.08
"""Standard deviation of the rotation (radian) and of the slant (columns per row), and the mean slant to the right."""

HEIGHT, HEIGHT_SPREAD, ASPECT, ASPECT_SPREAD, SHIFT = 19.0, 0.09, 0.72, 0.16, 1.3
"""Mean height in pixels and relative deviation, the same of width over height, and deviation of the centre."""

RADIUS, RADIUS_SPREAD, RADIUS_CHANGE = 1.15, 0.30, 0.18
"""Half the thickness of a stroke in pixels, its relative deviation over images and along a stroke."""

GAPS, BLOBS, NOISY, NOISE = 0.20, 0.15, 0.5, 0.08
"""Share of images with a gap, with a blob, with noise, and the noise's largest standard deviation."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@function
def state_of_image(seed: int, part: int, image: int) -> int:
    """Return the state of an image's stream of random numbers."""
    return int(mix(mix(mix(seed) + part) + image))


@function
def label_of(state: int, classes: int) -> int:
    """Return an image's class: number 0 of its stream decides, each class is as likely."""
    return int(bits(state, 0) % classes)


@function
def ink_piece(canvas: Floats, path: Floats, first: int, soft: float) -> None:
    """Ink one straight piece of the path into the canvas, where it is darker than what is there.

    Args:
        canvas: ink from 0 to 1, (28, 28).
        path: row, column, radius and ink at each point, (points, 4).
        first: number of the point where the piece begins.
        soft: width of the stroke's edge in pixels.
    """
    y, x, radius, ink = path[first, 0], path[first, 1], path[first, 2], path[first, 3]
    down, across = path[first + 1, 0] - y, path[first + 1, 1] - x
    widens, darkens = path[first + 1, 2] - radius, path[first + 1, 3] - ink
    square = max(down * down + across * across, 1e-9)
    reach = max(radius, radius + widens) + soft
    top, bottom = max(0, int(min(y, y + down) - reach)), min(SIDE - 1, int(max(y, y + down) + reach))
    left, right = max(0, int(min(x, x + across) - reach)), min(SIDE - 1, int(max(x, x + across) + reach))
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            along = ((row - y) * down + (column - x) * across) / square
            along = min(max(along, 0.0), 1.0)
            off_y, off_x = row - y - along * down, column - x - along * across
            distance = np.sqrt(off_y * off_y + off_x * off_x)
            inside = (radius + along * widens - distance) / soft + 0.5
            inside = min(max(inside, 0.0), 1.0)
            shade = inside * inside * (3.0 - 2.0 * inside) * (ink + along * darkens)
            canvas[row, column] = max(canvas[row, column], shade)


@function
def ink_stroke(canvas: Floats, points: Floats, path: Floats, state: int, number: int, field: Floats) -> None:
    """Draw a stroke: a Catmull-Rom spline through its points, which are moved, bent and placed first.

    Args:
        canvas: ink from 0 to 1, (28, 28).
        points: row and column in the digit's box, and 1 where the pen changes direction, (points, 3).
        path: memory for the pen's path, (pieces + 1, 4).
        state: the image's stream.
        number: how many points the strokes before this one have.
        field: the vectors of the elastic distortion.
    """
    count = points.shape[0]
    moved = np.empty((count, 4))
    thick = RADIUS * max(0.5, 1.0 + RADIUS_SPREAD * normal(state, 1))
    for point in range(count):
        draw = OF_POINTS + 4 * (number + point)
        moved[point, 0] = points[point, 0] + JITTER * normal(state, draw)
        moved[point, 1] = points[point, 1] + JITTER * normal(state, draw + 1)
        moved[point, 2] = thick * (1.0 + RADIUS_CHANGE * normal(state, draw + 2))
        moved[point, 3] = 1.0 - 0.25 * uniform(state, draw + 3)
    tangents = np.zeros((count, 2))
    for point in range(count):
        before, after = max(point - 1, 0), min(point + 1, count - 1)
        for axis in range(2):
            tangents[point, axis] = (moved[after, axis] - moved[before, axis]) * 0.5 * (1.0 - points[point, 2])
    # Where rows and columns of the box go: slant, rotation by its half-angle tangent, size and shift.
    half = 0.5 * ROTATION * normal(state, 2)
    cosine, sine = (1.0 - half * half) / (1.0 + half * half), 2.0 * half / (1.0 + half * half)
    slant = LEAN + SLANT * normal(state, 3)
    height = HEIGHT * (1.0 + HEIGHT_SPREAD * normal(state, 4))
    width = height * ASPECT * max(0.4, 1.0 + ASPECT_SPREAD * normal(state, 5))
    middle_y, middle_x = 13.5 + SHIFT * normal(state, 6), 13.5 + SHIFT * normal(state, 7)
    line = np.empty((CELLS + 3, 2))
    for piece in range((count - 1) * PIECES_OF_A_CURVE + 1):
        first = min(piece // PIECES_OF_A_CURVE, count - 2)
        t = piece / PIECES_OF_A_CURVE - first
        rest, square = 1.0 - t, t * t
        from_first, to_next = (1.0 + 2.0 * t) * rest * rest, square * (3.0 - 2.0 * t)
        leaving, arriving = t * rest * rest, square * (t - 1.0)
        place_y = from_first * moved[first, 0] + to_next * moved[first + 1, 0]
        place_y += leaving * tangents[first, 0] + arriving * tangents[first + 1, 0]
        place_x = from_first * moved[first, 1] + to_next * moved[first + 1, 1]
        place_x += leaving * tangents[first, 1] + arriving * tangents[first + 1, 1]
        field_line(field, place_y, line)
        bend_y, bend_x = on_line(line, place_x)
        y, x = (place_y + bend_y - 0.5) * height, (place_x + bend_x - 0.5) * width
        x -= slant * y
        path[piece, 0], path[piece, 1] = middle_y + cosine * y + sine * x, middle_x + cosine * x - sine * y
        path[piece, 2] = rest * moved[first, 2] + t * moved[first + 1, 2]
        path[piece, 3] = rest * moved[first, 3] + t * moved[first + 1, 3]
    soft = 0.8 + 0.7 * uniform(state, 8)
    for piece in range((count - 1) * PIECES_OF_A_CURVE):
        ink_piece(canvas, path, piece, soft)


@function
def spot(canvas: Floats, y: float, x: float, radius: float, ink: float) -> None:
    """Blot a disc with a soft edge: towards ``ink`` where that is 0, to at least ``ink`` elsewhere."""
    for row in range(SIDE):
        for column in range(SIDE):
            off_y, off_x = row - y, column - x
            inside = min(max(radius + 0.5 - np.sqrt(off_y * off_y + off_x * off_x), 0.0), 1.0)
            if ink == 0.0:
                canvas[row, column] *= 1.0 - inside
            else:
                canvas[row, column] = max(canvas[row, column], inside * ink)


@function
def spoil(canvas: Floats, path: Floats, points: int, state: int) -> None:
    """Leave a gap in the pen's last stroke or a blob of ink beside it, in a few images."""
    if uniform(state, OF_SPOTS) < GAPS:
        place = bits(state, OF_SPOTS + 1) % points
        spot(canvas, path[place, 0], path[place, 1], 0.6 + 1.2 * uniform(state, OF_SPOTS + 2), 0.0)
    if uniform(state, OF_SPOTS + 3) < BLOBS:
        place = bits(state, OF_SPOTS + 4) % points
        y = path[place, 0] + 4.0 * symmetric(state, OF_SPOTS + 5)
        x = path[place, 1] + 4.0 * symmetric(state, OF_SPOTS + 6)
        spot(canvas, y, x, 0.5 + 1.3 * uniform(state, OF_SPOTS + 7), 0.9)


def drawing_step() -> Any:
    """Return the step function that draws images."""

    @function
    def draw_digits(row: int, _thread: int, threads: int) -> None:
        """Draw images, each by its number.

        Arguments: images (uint8, 28x28), their number, the images' numbers in the part, seed, part, address of points,
        their number, address of where each stroke's points begin, of where each form's strokes begin, of where each
        class's forms begin, classes; what to write labels to (0: nowhere), whether to write labels alone.
        """
        words = integers(row)
        images, classes = words[2], words[11]
        numbers = integers(words[3])
        of_class = integers(words[10])
        of_form = integers(words[9])
        of_stroke = integers(words[8])
        points = numba.carray(float64s(words[6]), (words[7], 3), np.float64)
        labels = integers(words[12])
        canvas = np.empty((SIDE, SIDE))
        path = np.zeros((words[7] * PIECES_OF_A_CURVE + 1, 4))
        field = np.empty((CELLS + 3, CELLS + 3, 2))
        unit = next_unit(row, -1, threads)
        while unit < images:
            state = state_of_image(words[4], words[5], numbers[unit])
            label = label_of(state, classes)
            if words[12]:
                labels[unit] = label
            if words[1]:
                canvas[:, :] = 0.0
                draw_field(field, state, OF_FIELD, BENDING, bounded=False)
                form = of_class[label] + bits(state, 9) % (of_class[label + 1] - of_class[label])
                begin = of_stroke[of_form[form]]
                drawn = 0
                for stroke in range(of_form[form], of_form[form + 1]):
                    own = points[of_stroke[stroke] : of_stroke[stroke + 1]]
                    ink_stroke(canvas, own, path, state, of_stroke[stroke] - begin, field)
                    drawn = (own.shape[0] - 1) * PIECES_OF_A_CURVE
                spoil(canvas, path, drawn, state)
                image = numba.carray(unsigned8s(words[1] + unit * SIDE * SIDE), (SIDE, SIDE), np.uint8)
                develop(canvas, image, state)
            unit = next_unit(row, unit, threads)

    return draw_digits


@function
def develop(canvas: Floats, image: npt.NDArray[np.uint8], state: int) -> None:
    """Turn ink into 8-bit brightness: white on black, with the image's own brightness and noise."""
    brightness = 255.0 * (0.7 + 0.3 * uniform(state, 10))
    noise = 255.0 * NOISE * uniform(state, 11) if uniform(state, 12) < NOISY else 0.0
    for row in range(SIDE):
        for column in range(SIDE):
            value = brightness * canvas[row, column]
            if noise > 0.0:
                value += noise * normal(state, OF_PIXELS + row * SIDE + column)
            image[row, column] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
