"""``archcost profile MODEL``."""

from __future__ import annotations

import click

from archcost.cli.model import model_options, requested
from archcost.cli.output import chosen_format, emit, emit_table, output_options


@click.command(short_help="Run a network: time per layer, GFLOP/s, share of the machine's roofline.")
@click.argument("model")
@model_options
@click.option("--batch-size", "-b", type=click.IntRange(min=1), default=1, show_default=True, help="Images in a batch.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads (default: ARCHCOST_THREADS, else all processors).")
@click.option("--runs", type=click.IntRange(min=1), default=20, show_default=True, help="Passes that are measured.")
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
    depth: int,
    precision: str,
    output_format: str | None,
    output: str | None,
) -> None:
    """Run MODEL with random weights and measure it, layer by layer.

    \b
    Examples:
      archcost profile resnet50
      archcost profile mobilenet_v2 -b 8 --threads 1 --depth -1
    """
    from typing import cast

    import numpy as np

    from archcost.cli.profile_table import as_dict, profile_table
    from archcost.engine.network import Network
    from archcost.engine.timing import profiled
    from archcost.interop.model import open_model
    from archcost.kernels.target import Precision

    graph = open_model(model, requested(input_size, num_classes, pairs))
    network = Network(graph, threads=threads, precision=cast("Precision", precision))
    images = [np.random.default_rng(0).standard_normal((batch_size, *graph.shapes[node.name])) for node in graph.inputs]
    network(images if len(images) > 1 else images[0])
    profile = profiled(network, batch_size, runs)
    form = chosen_format(output_format, output)
    if form == "json":
        import json

        emit(json.dumps(as_dict(graph, profile, batch_size), indent=2), output)
        return
    table = profile_table(graph, profile, batch_size, depth)
    if form == "table":
        emit_table(table, output)
    else:
        emit(table.render(form), output)
