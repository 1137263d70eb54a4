"""Where a picture's pixels come from: all geometric augmentations and the fitting as one inverse mapping.

Each pixel of the result looks up its place in the source once, so that an image which is rotated, sheared and warped is
interpolated once and not three times.

Names: the *frame* is the network's input; a source either lies in its middle (*padded*) or fills it (*resized*).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.kernels.function import function
from archcost.kernels.random_numbers import bits, mix, symmetric, uniform
from archcost.kernels.smooth_field import draw_field, field_line, field_row

MIRROR, CROP, ROTATE, SHEAR, SCALE, WARP, COLOR, BRIGHTNESS, CONTRAST, PCA, ERASE, NOISE = range(12)
"""Places of the augmentations' values in the table of settings, and their numbers in the streams of an image."""

WARP_CELLS = 4
"""Cells of the warping's grid, along each side of the frame."""

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Bend = tuple[float, Floats, Floats, Floats, Floats]
Taps = tuple[Singles, npt.NDArray[np.int32], Singles]
"""What ``resample_row`` needs, as it says."""


@function
def place_frame(mapping: Floats, settings: Floats, image: int, height: int, width: int) -> None:
    """Draw an image's geometric augmentations.

    In the direction of looking up: out of the crop, back from rotation, shear and scale about the middle, mirrored.

    Args:
        mapping: what results: row and column of the frame = mapping (2, 3) times (row, column, 1) of the result.
        settings: the augmentations' values; 0 for none.
        image: state of the image's streams.
        height: rows of the frame.
        width: its columns.
    """
    middle_y, middle_x = (height - 1) / 2.0, (width - 1) / 2.0
    mirrored = -1.0 if uniform(mix(image + MIRROR), 0) < settings[MIRROR] else 1.0
    down, across = 0.0, 0.0
    reach = int(settings[CROP])
    if reach > 0:
        state = mix(image + CROP)
        down, across = float(bits(state, 0) % (2 * reach + 1) - reach), float(bits(state, 1) % (2 * reach + 1) - reach)
    if settings[ROTATE] == 0.0 and settings[SHEAR] == 0.0 and settings[SCALE] == 0.0:
        yy, yx, xy, xx = 1.0, 0.0, 0.0, 1.0
    else:
        angle = np.pi / 180.0 * settings[ROTATE] * symmetric(mix(image + ROTATE), 0)
        slope = np.tan(np.pi / 180.0 * settings[SHEAR] * symmetric(mix(image + SHEAR), 0))
        size = 1.0 / (1.0 + settings[SCALE] * symmetric(mix(image + SCALE), 0))
        cosine, sine = np.cos(angle) * size, np.sin(angle) * size
        yy, yx, xy, xx = cosine, sine, -sine - slope * cosine, cosine - slope * sine
    mapping[0, 0], mapping[0, 1] = yy, yx
    mapping[1, 0], mapping[1, 1] = mirrored * xy, mirrored * xx
    start_y, start_x = -middle_y - down, -middle_x - across
    mapping[0, 2] = mapping[0, 0] * start_y + mapping[0, 1] * start_x + middle_y
    mapping[1, 2] = mapping[1, 0] * start_y + mapping[1, 1] * start_x + middle_x


@function
def copy_row(source: Any, line: Singles, mapping: Floats, row: int, start: int, factor: float, summand: float) -> None:
    """Copy a row of a channel that a mapping from pixels to pixels gives, as factor * value + summand.

    Args:
        source: one channel, (rows, columns).
        line: what results, (columns of the frame,); black where there is no source.
        mapping: from the result to the frame.
        row: row of the source.
        start: column of the source from which column 0 comes, if there is one.
        factor: what values are multiplied by.
        summand: what is added to the product; black is 0.
    """
    height, width = source.shape
    times, plus, columns = np.float32(factor), np.float32(summand), line.size
    if not 0 <= row < height:
        line[:] = plus
        return
    if mapping[1, 1] > 0.0:
        first = min(max(0, -start), columns)
        last = max(first, min(columns, width - start))
        values = source[row, start + first : start + last]
    else:
        first = min(max(0, start - width + 1), columns)
        last = max(first, min(columns, start + 1))
        values = source[row, start - last + 1 : start - first + 1]
    line[:first] = plus
    line[last:] = plus
    inner, count = line[first:last], last - first
    if mapping[1, 1] > 0.0:
        for column in range(count):
            inner[column] = np.float32(values[column]) * times + plus
    else:
        for column in range(count):
            inner[column] = np.float32(values[count - 1 - column]) * times + plus


@function
def look_up(source: Singles, lines: Singles, memory: Taps, weight: float) -> None:
    """Add a row's pixels of the source, interpolated bilinearly between the four around each place.

    Args:
        source: (channels, rows, columns).
        lines: what they are added to, (channels, columns of the frame).
        memory: row and column in the source for each column of the frame (2, columns); memory for the numbers of the
            four pixels and for their weights (4, columns).
        weight: what each interpolated value counts.
    """
    places, taps, weights = memory
    channels, height, width = source.shape
    half, none, one, full = np.float32(0.5), np.float32(0.0), np.float32(1.0), np.float32(weight)
    bottom, end, wide = np.float32(height - 1), np.float32(width - 1), np.int32(width)
    last_row, last_column = np.int32(height - 1), np.int32(width - 1)
    # 32-bit numbers and no branches: the compiler makes vector code of this.
    for column in range(lines.shape[1]):
        y, x = places[0, column], places[1, column]
        counts = full if (y >= -half) & (y <= bottom + half) & (x >= -half) & (x <= end + half) else none
        y, x = min(max(y, none), bottom), min(max(x, none), end)
        row, left = np.int32(y), np.int32(x)
        share_y, share_x = y - np.float32(row), x - np.float32(left)
        below, right = np.int32(min(row + 1, last_row)), np.int32(min(left + 1, last_column))
        taps[0, column], taps[1, column] = row * wide + left, row * wide + right
        taps[2, column], taps[3, column] = below * wide + left, below * wide + right
        weights[0, column] = counts * (one - share_y) * (one - share_x)
        weights[1, column] = counts * (one - share_y) * share_x
        weights[2, column] = counts * share_y * (one - share_x)
        weights[3, column] = counts * share_y * share_x
    for channel in range(channels):
        plane = source[channel].reshape(-1)
        for column in range(lines.shape[1]):
            value = weights[0, column] * plane[taps[0, column]]
            value += weights[1, column] * plane[taps[1, column]]
            value += weights[2, column] * plane[taps[2, column]]
            value += weights[3, column] * plane[taps[3, column]]
            lines[channel, column] += value


@function
def resample_row(
    source: Singles,
    lines: Singles,
    mapping: Floats,
    bend: Bend,
    row: int,
    height: int,
    fitting: tuple[float, float, float, float],
    memory: Taps,
) -> None:
    """Interpolate one row of the result.

    Where the source has more pixels than the frame, several places of each pixel are looked up and averaged.

    Args:
        source: (channels, rows, columns).
        lines: what results, (channels, columns of the frame).
        mapping: from the result to the frame.
        bend: size of the warping as a share of the frame (0: none), its vectors, the columns' weights, and memory for
            a line of vectors and for a row of displacements (2, columns).
        row: row of the result.
        height: rows of the frame.
        fitting: factor and summand from the frame's rows to the source's, the same of its columns.
        memory: for ``look_up``.
    """
    size, field, shares, line, bent = bend
    down_factor, down, across_factor, across = fitting
    places, width = memory[0], lines.shape[1]
    lines[:, :] = np.float32(0.0)
    if size > 0.0:
        field_line(field, (row + 0.5) / height, line)
        field_row(line, shares, height, width, bent)
    # A factor is above 1 only where a larger source is resized.
    rows, columns = int(np.ceil(down_factor)), int(np.ceil(across_factor))
    for part in range(rows * columns):
        y = row + (part // columns + 0.5) / rows - 0.5
        aside = (part % columns + 0.5) / columns - 0.5
        for column in range(width):
            x = column + aside
            frame_y = mapping[0, 0] * y + mapping[0, 1] * x + mapping[0, 2] + bent[0, column]
            frame_x = mapping[1, 0] * y + mapping[1, 1] * x + mapping[1, 2] + bent[1, column]
            places[0, column] = np.float32(frame_y * down_factor + down)
            places[1, column] = np.float32(frame_x * across_factor + across)
        look_up(source, lines, memory, 1.0 / (rows * columns))


@function
def draw_warp(field: Floats, settings: Floats, image: int) -> None:
    """Draw the vectors of the warping, none longer than the setting along an axis."""
    if settings[WARP] > 0.0:
        draw_field(field, mix(image + WARP), 0, settings[WARP], bounded=True)
