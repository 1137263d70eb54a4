"""``archcost profile MODEL``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from archcost.cli.model import model_options, requested
from archcost.cli.output import chosen_format, emit, emit_table, output_options
from archcost.errors import UsageError

if TYPE_CHECKING:
    from archcost.engine.network import Network
    from archcost.report.formats import Table


@click.command(short_help="Run a network: time per layer, GFLOP/s, share of the machine's roofline.")
@click.argument("model")
@model_options
@click.option("--batch-size", "-b", type=click.IntRange(min=1), default=1, show_default=True, help="Images in a batch.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads (default: ARCHCOST_THREADS, else all processors).")
@click.option("--runs", type=click.IntRange(min=1), default=20, show_default=True, help="Passes that are measured.")
@click.option("--train", is_flag=True, help="Measure training steps: forward, loss and backward, layer by layer.")
@click.option(
    "--depth", type=int, default=2, show_default=True, help="Levels of the layer tree; -1 for every operator."
)
@click.option("--precision", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@output_options
def command(
    model: str,
    input_size: str | None,
    num_classes: int | None,
    pairs: tuple[str, ...],
    batch_size: int,
    threads: int | None,
    runs: int,
    train: bool,
    depth: int,
    precision: str,
    output_format: str | None,
    output: str | None,
) -> None:
    """Run MODEL and measure it, layer by layer; its weights are random, or those of an ONNX file.

    \b
    Examples:
      archcost profile resnet50
      archcost profile mobilenet_v2 -b 8 --threads 1 --depth -1
      archcost profile resnet18 -b 8 --train
    """
    from typing import cast

    from archcost.engine.network import Network
    from archcost.interop.model import open_model, open_weights
    from archcost.interop.weights import load_into
    from archcost.kernels.target import Precision

    options = requested(input_size, num_classes, pairs)
    graph = open_model(model, options)
    try:
        network = Network(graph, threads=threads, precision=cast("Precision", precision), inference_only=not train)
        arrays = open_weights(model, options)
        if arrays:
            load_into(network, arrays, source=model)
        data, table = (_training if train else _inference)(network, batch_size, runs, depth)
    except MemoryError:
        raise UsageError(f"{graph.name}: a batch of {batch_size} images does not fit into the memory") from None
    form = chosen_format(output_format, output)
    if form == "json":
        import json

        emit(json.dumps(data, indent=2), output)
    elif form == "table":
        emit_table(table, output)
    else:
        emit(table.render(form), output)


def _inference(network: Network, images: int, runs: int, depth: int) -> tuple[dict[str, object], Table]:
    """Measure inference; return it as data and as a table."""
    import numpy as np

    from archcost.cli.profile_table import as_dict, profile_table
    from archcost.engine.timing import profiled

    graph = network.graph
    batch = [np.random.default_rng(0).standard_normal((images, *graph.shapes[node.name])) for node in graph.inputs]
    network(batch if len(batch) > 1 else batch[0])
    profile = profiled(network, images, runs)
    return as_dict(graph, profile, images), profile_table(graph, profile, images, depth)


def _training(network: Network, images: int, runs: int, depth: int) -> tuple[dict[str, object], Table]:
    """Measure training steps; return them as data and as a table."""
    from archcost.cli.profile_table import training_dict, training_table
    from archcost.engine.timing import profiled_training

    profile = profiled_training(network, images, runs)
    graph = network.graph
    return training_dict(graph, profile, images), training_table(graph, profile, images, depth)
