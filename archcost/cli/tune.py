"""``archcost tune MODEL``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from archcost.cli.model import model_options, requested
from archcost.cli.output import chosen_format, emit, emit_table, output_options
from archcost.errors import UsageError

if TYPE_CHECKING:
    from archcost.engine.trial import Way
    from archcost.engine.tuning import Tuned, Tuning
    from archcost.graph import Graph
    from archcost.report.formats import Table

SCHEMA = "archcost.tune/1"

HEADERS = ("layer", "in", "out", "size", "default", "fastest", "default us", "fastest us", "ratio")


@click.command(short_help="Measure which way each 3x3 convolution of a network is fastest here, and keep it.")
@click.argument("model")
@model_options
@click.option("--batch-size", "-b", type=click.IntRange(min=1), default=1, show_default=True, help="Images in a batch.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads (default: ARCHCOST_THREADS, else all processors).")
@click.option("--precision", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@output_options
def command(
    model: str,
    input_size: str | None,
    num_classes: int | None,
    pairs: tuple[str, ...],
    batch_size: int,
    threads: int | None,
    precision: str,
    output_format: str | None,
    output: str | None,
) -> None:
    """Measure inference of MODEL with its 3x3 convolutions computed in several ways, and keep the fastest.

    Later runs of the network with this batch size on this machine use what is kept; ARCHCOST_TUNING=off ignores it.
    Nothing is kept where the network as a whole is no faster than with the defaults, or while other programs keep the
    machine busy. Which way is taken is measured with 2 threads, since results must not depend on their number; other
    numbers measure how the work is cut.

    \b
    Examples:
      archcost tune resnet18
      archcost tune vgg16 -b 8 --threads 2
    """
    from typing import cast

    from archcost.engine.network import Network
    from archcost.engine.tuning import tune
    from archcost.interop.model import open_model
    from archcost.kernels.target import Precision

    graph = open_model(model, requested(input_size, num_classes, pairs))
    form = chosen_format(output_format, output)
    try:
        found = tune(Network(graph, threads=threads, precision=cast("Precision", precision)), batch_size)
    except MemoryError:
        raise UsageError(f"{graph.name}: a batch of {batch_size} images does not fit into the memory") from None
    if form == "json":
        import json

        emit(json.dumps(_as_dict(graph, found, batch_size), indent=2), output)
    elif form == "table":
        emit_table(_table(graph, found, batch_size), output)
    else:
        emit(_table(graph, found, batch_size).render(form), output)


def _table(graph: Graph, found: Tuning, images: int) -> Table:
    """Return a line for each convolution."""
    from archcost.report.formats import Table

    rows = tuple(_row(one) for one in found.layers)
    noun = "thread" if found.threads == 1 else "threads"
    title = f"{graph.title}, batch of {images}, {found.threads} {noun}"
    return Table(title, HEADERS, rows, _verdict(found), (100, 60, 60, 70, 90, 100, 50, 50, 80))


def _row(one: Tuned) -> tuple[str, ...]:
    filters = one.place.layer.filters
    more = f" +{len(one.nodes) - 1}" if len(one.nodes) > 1 else ""
    changed = one.chosen != one.default
    return (
        one.nodes[0] + more,
        str(filters.inputs),
        str(filters.outputs),
        "x".join(map(str, one.place.size)),
        way_text(one.default),
        way_text(one.chosen) if changed else "default",
        f"{1e6 * one.default_seconds:.1f}",
        f"{1e6 * one.chosen_seconds:.1f}",
        f"{one.chosen_seconds / one.default_seconds:.2f}",
    )


def way_text(way: Way) -> str:
    """Return a way in words."""
    if way is None:
        return "direct"
    tiles = f"{way.tiles_of_unit} {'tile' if way.tiles_of_unit == 1 else 'tiles'}"
    return f"F({way.outputs}x{way.outputs}), {tiles} x 1/{way.panel_groups}"


def _verdict(found: Tuning) -> str:
    """Return what came of it."""
    if not found.layers:
        return "no convolution of this network can be computed in more than one way: nothing to tune"
    if found.whole is None:
        return "no way is faster than the default by a clear margin: the defaults stay"
    whole = found.whole
    times = (
        f"whole network: {1e3 * whole.default_seconds:.3f} ms by default, {1e3 * whole.tuned_seconds:.3f} ms tuned, "
        f"ratio {whole.ratio:.3f} (median of paired rounds)"
    )
    if found.is_stored:
        return f"{times}\nstored: later runs of this network with this batch size use it (ARCHCOST_TUNING=off: not)"
    return f"{times}\nnot stored: as a whole the network is not faster by a clear margin"


def _as_dict(graph: Graph, found: Tuning, images: int) -> dict[str, object]:
    """Return it as plain values: the schema ``archcost.tune/1``, seconds."""
    layers = [
        {
            "nodes": one.nodes,
            "channels": [one.place.layer.filters.inputs, one.place.layer.filters.outputs],
            "size": one.place.size,
            "images": one.place.images,
            "default": way_text(one.default),
            "fastest": way_text(one.chosen),
            "default_seconds": one.default_seconds,
            "fastest_seconds": one.chosen_seconds,
        }
        for one in found.layers
    ]
    return {
        "schema": SCHEMA,
        "model": {"name": graph.name, "variant": graph.variant},
        "batch_size": images,
        "threads": found.threads,
        "layers": layers,
        "whole": found.whole._asdict() if found.whole else None,
        "stored": found.is_stored,
    }
