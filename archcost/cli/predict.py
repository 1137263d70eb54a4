"""``archcost predict MODEL IMAGE...``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from archcost.cli.model import model_options, requested
from archcost.cli.output import chosen_format, emit, emit_table, output_options, warn
from archcost.errors import UsageError

if TYPE_CHECKING:
    from archcost.zoo.preprocessing import Interpolation


@click.command(short_help="Classify images with weights from a file.")
@click.argument("model")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@model_options
@click.option("--weights", metavar="FILE", help="Weights (.npz, .safetensors), by name; a .onnx MODEL has its own.")
@click.option("--partial", is_flag=True, help="Let weights be missing, unexpected or of another shape.")
@click.option("--labels", metavar="FILE", help="Class names, one a line (default: the classes' numbers).")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show for an image.")
@click.option("--crops", is_flag=True, help="Average over the centre, four corners, and their mirror images.")
@click.option("--resize", type=click.IntRange(min=1, max=2**14), help="Pixels of the shorter side before the crop.")
@click.option("--interpolation", type=click.Choice(["bilinear", "bicubic"]), help="How images are resized.")
@click.option("--mean", metavar="M,M,M", help="What is subtracted from each channel, of values from 0 to 1.")
@click.option("--std", metavar="S,S,S", help="What each channel is divided by then.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads (default: ARCHCOST_THREADS, else all processors).")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@output_options
def command(
    model: str,
    images: tuple[str, ...],
    input_size: str | None,
    num_classes: int | None,
    pairs: tuple[str, ...],
    weights: str | None,
    partial: bool,
    labels: str | None,
    top: int,
    crops: bool,
    resize: int | None,
    interpolation: str | None,
    mean: str | None,
    std: str | None,
    threads: int | None,
    as_json: bool,
    output_format: str | None,
    output: str | None,
) -> None:
    """Show what MODEL takes each IMAGE for: the most probable classes.

    Images are resized, cut out and normalised as the weights that the architecture usually has were evaluated (that of
    a .onnx file by the file's name); the options change that.

    \b
    Examples:
      archcost predict resnet50 cat.jpg --weights resnet50.safetensors --labels imagenet.txt
      archcost predict network.onnx *.png --top 1 --json
      archcost predict resnet50 cat.jpg --weights v2.safetensors --resize 232 --crops
    """
    from archcost.engine.network import Network
    from archcost.interop.classify import class_count, class_probabilities, read_labels
    from archcost.interop.model import open_model, open_weights
    from archcost.interop.weights import load_into, read_weights
    from archcost.report.predictions import best, predictions_dict, predictions_table
    from archcost.zoo.preprocessing import preprocessing

    options = requested(input_size, num_classes, pairs)
    if weights is None and not model.endswith(".onnx"):
        raise UsageError(f"{model} has no weights of its own: give `--weights FILE`")
    # What a file may leave out is drawn; else drawing would be in vain.
    initial = None if partial else "zeros"
    network = Network(open_model(model, options), threads=threads, initial=initial, inference_only=True)
    graph = network.graph
    classes = class_count(network)
    names = read_labels(Path(labels), classes) if labels else []
    shape = graph.shapes[graph.inputs[0].name]
    recipe = preprocessing(graph.name).for_shape(shape)
    if resize is not None:
        recipe = recipe._replace(resize=resize)
    if interpolation is not None:
        recipe = recipe._replace(interpolation=cast("Interpolation", interpolation))
    if mean is not None:
        recipe = recipe._replace(mean=_numbers("mean", mean, shape[0]))
    if std is not None:
        recipe = recipe._replace(std=_numbers("std", std, shape[0]))
    arrays = open_weights(model, options) if weights is None else read_weights(weights)
    report = load_into(network, arrays or {}, partial=partial, source=weights or model)
    if not report.complete:
        warn("; ".join(report.lines(3)))
    found = class_probabilities(network, map(Path, images), recipe, crops=crops)
    guesses = {image: best(values.tolist(), names, top) for image, values in zip(images, found)}
    form = chosen_format(output_format, output)
    if as_json or form == "json":
        import json

        emit(json.dumps({**predictions_dict(graph.name, guesses), "preprocessing": recipe._asdict()}, indent=2), output)
        return
    table = predictions_table(graph.title, guesses)
    if form == "table":
        emit_table(table, output)
    else:
        emit(table.render(form), output)


def _numbers(name: str, text: str, channels: int) -> tuple[float, ...]:
    """Return a number for each channel; one number stands for all."""
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, channels) or not all(0 < abs(value) < 1e6 or name == "mean" for value in values):
        raise UsageError(f"`--{name}` (={text}) must be {channels} numbers joined by commas, or one for all channels")
    return values if len(values) == channels else values * channels
