"""From stored images to a batch for the network: fitted to its input, augmented, normalised, one image at a time.

The random numbers of an image follow from seed, epoch, the image's number in the data set and the augmentation alone.
An image stays in the processor's cache from its first to its last pass.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from archcost.kernels.direct import address_of, run_step, unsigned8s
from archcost.kernels.function import function
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.random_numbers import mix, normal, symmetric, uniform
from archcost.kernels.resample import (
    BRIGHTNESS,
    COLOR,
    CONTRAST,
    CROP,
    ERASE,
    MIRROR,
    NOISE,
    PCA,
    WARP,
    WARP_CELLS,
    Bend,
    Floats,
    Singles,
    Taps,
    copy_row,
    draw_warp,
    place_frame,
    resample_row,
)
from archcost.kernels.smooth_field import column_weights
from archcost.kernels.units import next_unit

SETTINGS = 12
"""Values in a table of settings."""

Fitting = tuple[float, float, float, float]

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in a grey value (ITU-R BT.601)."""


@function
def draw_colors(tones: Floats, settings: Floats, axes: Floats, image: int, white: float) -> bool:
    """Draw how an image's values change: value = factor * value + summand, by channel.

    Args:
        tones: what results, factor and summand of each channel, (channels, 2).
        settings: the augmentations' values; 0 for none.
        axes: principal components of the colours, each times its variance, as columns, where white is 1: (3, 3).
        image: state of the image's streams.
        white: the value of white.

    Returns:
        Whether anything changes.
    """
    brightness = settings[BRIGHTNESS] * symmetric(mix(image + BRIGHTNESS), 0)
    factor = 1.0 + settings[CONTRAST] * symmetric(mix(image + CONTRAST), 0)
    shifts, along = mix(image + COLOR), mix(image + PCA)
    for channel in range(tones.shape[0]):
        shift = brightness + 0.5 * (1.0 - factor) + settings[COLOR] * symmetric(shifts, channel)
        if settings[PCA] > 0.0:
            for axis in range(3):
                shift += axes[channel, axis] * settings[PCA] * normal(along, axis)
        tones[channel, 0], tones[channel, 1] = factor, white * shift
    return settings[BRIGHTNESS] + settings[CONTRAST] + settings[COLOR] + settings[PCA] > 0.0


@function
def recolor(line: Singles, factor: float, summand: float, white: float) -> None:
    """Change a line's values, which stay between black and white."""
    by, plus, top = np.float32(factor), np.float32(summand), np.float32(white)
    for column in range(line.size):
        line[column] = min(max(line[column] * by + plus, np.float32(0.0)), top)


@function
def add_noise(line: Singles, state: int, first: int, size: float, white: float) -> None:
    """Add normal noise of standard deviation ``size`` to a line, whose values stay between black and white."""
    for column in range(line.size):
        line[column] = np.float32(min(max(line[column] + size * normal(state, first + column), 0.0), white))


@function
def erase(target: Singles, settings: Floats, image: int) -> None:
    """Set a square of an image (channels, rows, columns) to 0; its centre is any pixel, so parts may lie outside."""
    height, width = target.shape[1], target.shape[2]
    side = max(1, int(settings[ERASE] * min(height, width) + 0.5))
    state = mix(image + ERASE)
    top, left = int(uniform(state, 0) * height) - side // 2, int(uniform(state, 1) * width) - side // 2
    target[:, max(top, 0) : min(top + side, height), max(left, 0) : min(left + side, width)] = np.float32(0.0)


@function
def mix_channels(lines: Singles, result: Singles) -> None:
    """Turn lines (channels, columns) into as many as the network takes: repeat one, or make grey of three."""
    for column in range(lines.shape[1]):
        if lines.shape[0] == 1:
            for channel in range(result.shape[0]):
                result[channel, column] = lines[0, column]
        else:
            result[0, column] = np.float32(
                GREY[0] * lines[0, column] + GREY[1] * lines[1, column] + GREY[2] * lines[2, column]
            )


@function
def copy_image(source: Any, target: Singles, scales: Singles, mapping: Floats, fitting: Fitting) -> None:
    """Make an image whose pixels come from one pixel each and change in nothing but their scale.

    Args:
        source: (channels, rows, columns).
        target: what results, (channels, rows, columns); one channel of the source is repeated.
        scales: factor and summand that normalise each channel, (channels, 2).
        mapping: from the result to the frame, pixels to pixels.
        fitting: factor and summand from the frame's rows to the source's, the same of its columns; the factors are 1.
    """
    above, start = int(mapping[0, 2]) + int(fitting[1]), int(mapping[1, 2]) + int(fitting[3])
    for plane in range(target.shape[0]):
        channel = source[min(plane, source.shape[0] - 1)]
        for row in range(target.shape[1]):
            factor, summand = scales[plane, 0], scales[plane, 1]
            copy_row(channel, target[plane, row], mapping, row + above, start, factor, summand)


@function
def make_image(
    source: Singles,
    target: Singles,
    image: int,
    white: float,
    tables: tuple[Floats, Singles, Floats],
    fitting: Fitting,
    memory: tuple[Floats, Floats, Bend, Taps, Singles, Singles],
) -> None:
    """Make an image with all that there is.

    Args:
        source: (channels, rows, columns).
        target: what results, (channels, rows, columns).
        image: state of the image's streams.
        white: the value of white in the source.
        tables: settings, the factor and summand that normalise a channel, the axes of the colours.
        fitting: factor and summand from the frame's rows to the source's, the same of its columns.
        memory: for the mapping, for the changes of colours, what ``resample_row`` needs, and for a row of each channel
            of source and target (the same memory if these are as many).
    """
    settings, scales, axes = tables
    mapping, tones, bend, taps, lines, mixed = memory
    planes, height, width = target.shape
    place_frame(mapping, settings, image, height, width)
    draw_warp(bend[1], settings, image)
    colored = draw_colors(tones, settings, axes, image, white)
    noise, noises = white * settings[NOISE], mix(image + NOISE)
    for row in range(height):
        resample_row(source, lines, mapping, bend, row, height, fitting, taps)
        if planes != source.shape[0]:
            mix_channels(lines, mixed)
        for plane in range(planes):
            values = mixed[plane]
            if colored:
                recolor(values, tones[plane, 0], tones[plane, 1], white)
            if noise > 0.0:
                add_noise(values, noises, (plane * height + row) * width, noise, white)
            for column in range(width):
                target[plane, row, column] = values[column] * scales[plane, 0] + scales[plane, 1]
    if settings[ERASE] > 0.0:
        erase(target, settings, image)


@function
def fitting_of(sides: tuple[int, int], frame: tuple[int, int], resized: bool) -> Fitting:
    """Return factor and summand from the frame's rows to the source's, and the same of the columns."""
    (rows, columns), (height, width) = sides, frame
    if resized:
        down, across = rows / height, columns / width
        return down, 0.5 * down - 0.5, across, 0.5 * across - 0.5
    return 1.0, -float((height - rows) // 2), 1.0, -float((width - columns) // 2)


def copying_step() -> Any:
    """Return the step function that makes a batch from 8-bit images whose pixels need no arithmetic but their scale."""

    @function
    def copy_images(row: int, _thread: int, threads: int) -> None:
        """Make every image of a batch; mirror and crop alone are read of the settings.

        Arguments: source images (uint8), their number, channels, rows, columns; target images (float32), channels,
        rows, columns; the images' numbers in the data set; seed; epoch; settings (float64); factor and summand of each
        target channel that normalise (float32, (channels, 2)).
        """
        words = integers(row)
        images, channels, rows, columns = words[2], words[3], words[4], words[5]
        planes, height, width = words[7], words[8], words[9]
        numbers = integers(words[10])
        settings = float64s(words[13])
        scales = numba.carray(float32s(words[14]), (planes, 2), np.float32)
        fitting, mapping = fitting_of((rows, columns), (height, width), resized=False), np.empty((2, 3))
        unit = next_unit(row, -1, threads)
        while unit < images:
            address = words[1] + unit * channels * rows * columns
            source = numba.carray(unsigned8s(address), (channels, rows, columns), np.uint8)
            address = words[6] + unit * planes * height * width * 4
            target = numba.carray(float32s(address), (planes, height, width), np.float32)
            place_frame(mapping, settings, mix(mix(mix(words[11]) + words[12]) + numbers[unit]), height, width)
            copy_image(source, target, scales, mapping, fitting)
            unit = next_unit(row, unit, threads)

    return copy_images


def making_step() -> Any:
    """Return the step function that makes a batch with all that there is."""

    @function
    def make_images(row: int, _thread: int, threads: int) -> None:
        """Make every image of a batch.

        Arguments: as of ``copy_images``, but the source is float32; then axes of the colours (float64, (3, 3)); whether
        images are resized; the value of white.
        """
        words = integers(row)
        images, channels, rows, columns = words[2], words[3], words[4], words[5]
        planes, height, width = words[7], words[8], words[9]
        numbers = integers(words[10])
        settings = float64s(words[13])
        scales = numba.carray(float32s(words[14]), (planes, 2), np.float32)
        tables = (settings, scales, numba.carray(float64s(words[15]), (3, 3), np.float64))
        fitting = fitting_of((rows, columns), (height, width), resized=words[16] != 0)
        points, single = WARP_CELLS + 3, np.float32
        field, shares = np.empty((points, points, 2)), column_weights(width, points)
        bend = (settings[WARP], field, shares, np.empty((points, 2)), np.zeros((2, width)))
        taps = (np.empty((2, width), single), np.empty((4, width), np.int32), np.empty((4, width), single))
        lines = np.empty((channels, width), single)
        mixed = lines if planes == channels else np.empty((planes, width), single)
        memory = (np.empty((2, 3)), np.empty((planes, 2)), bend, taps, lines, mixed)
        unit = next_unit(row, -1, threads)
        while unit < images:
            address = words[1] + unit * channels * rows * columns * 4
            source = numba.carray(float32s(address), (channels, rows, columns), single)
            address = words[6] + unit * planes * height * width * 4
            target = numba.carray(float32s(address), (planes, height, width), single)
            image = mix(mix(mix(words[11]) + words[12]) + numbers[unit])
            make_image(source, target, image, float(words[17]), tables, fitting, memory)
            unit = next_unit(row, unit, threads)

    return make_images


def make_batch(
    images: npt.NDArray[Any],
    target: npt.NDArray[np.float32],
    numbers: npt.NDArray[np.int64],
    seed: int,
    epoch: int,
    settings: npt.NDArray[np.float64],
    scales: npt.NDArray[np.float32],
    axes: npt.NDArray[np.float64],
    *,
    resized: bool,
) -> None:
    """Fit, augment and normalise a batch, without the interpreter lock.

    Args:
        images: uint8, or float32 where white is 1: (n, channels, rows, columns), contiguous as all arrays here.
        target: what results, (n, channels, rows, columns) of the network's input.
        numbers: the images' numbers in the data set, (n,).
        seed: of the random numbers, a signed 64-bit integer.
        epoch: number of the epoch.
        settings: value of each augmentation, (``SETTINGS``,); 0 for none.
        scales: factor and summand of each target channel that normalise, (channels, 2).
        axes: principal components of the colours, each times its variance, (3, 3).
        resized: whether a source fills the frame rather than lying in its middle.
    """
    count, channels, rows, columns = images.shape
    _, planes, height, width = target.shape
    other = [place for place in range(SETTINGS) if place not in {MIRROR, CROP} and settings[place] > 0]
    copies = images.dtype == np.uint8 and not resized and channels <= planes and not other
    # All else works in float32: code for every type of pixel would take seconds to compile for each.
    sources = images if copies else images.astype(np.float32, copy=False)
    arguments = (
        address_of(sources), count, channels, rows, columns, address_of(target), planes, height, width,
        address_of(numbers), seed, epoch, address_of(settings), address_of(scales), address_of(axes), int(resized),
        255 if images.dtype == np.uint8 else 1,
    )  # fmt: skip
    run_step("augment", "copying_step" if copies else "making_step", (), arguments)
