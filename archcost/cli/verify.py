"""``archcost verify MODEL...``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from archcost.cli.model import model_options, requested
from archcost.cli.output import chosen_format, emit, emit_table, output_options, warn
from archcost.errors import UsageError

if TYPE_CHECKING:
    from archcost.geometry import Shape
    from archcost.graph import Graph
    from archcost.reference.work import Array
    from archcost.report.executed_figures import Proof
    from archcost.report.formats import Format, Table
    from archcost.report.verify import Verification

LIMIT = 10_000_000_000
"""Mult-adds that the loops run for one network: some seconds."""

QUICK_LIMIT = 200_000_000
"""The same with ``--quick``."""

GRADIENT_LIMIT = 100_000_000
"""Mult-adds of one image of the network whose gradients are checked."""

QUICK_GRADIENT_LIMIT = 20_000_000
"""The same with ``--quick``."""

DIRECTIONS = 3
"""Directions in which gradients are checked; one with ``--quick``."""


@click.command(short_help="Execute networks with counting loops: what is computed is what is done.")
@click.argument("models", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Verify the whole catalogue and the documented figures.")
@click.option("--quick", is_flag=True, help="Use smaller images, for a fraction of a second a network.")
@click.option("--figures", is_flag=True, help="Show the documented figures by execution.")
@model_options
@click.option("--depth", type=int, help="Levels of the layer tree; -1 for every operator (default: 2, in data all).")
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="Element type of weights and activations.",
)
@output_options
def command(
    models: tuple[str, ...],
    everything: bool,
    quick: bool,
    figures: bool,
    input_size: str | None,
    num_classes: int | None,
    pairs: tuple[str, ...],
    depth: int | None,
    dtype: str,
    output_format: str | None,
    output: str | None,
) -> int:
    """Execute MODELS with plain loops that count what they do, and compare with what is computed from the shapes.

    Parameters allocated, mult-adds executed, elements written, output shapes, and the peak of the bytes alive; then
    the engine's outputs against those of the loops, and its gradients against finite differences. A network that is
    too large for plain loops runs on a smaller image, and the table says so. Exit code 1 if anything differs.

    \b
    Examples:
      archcost verify resnet50
      archcost verify mobilenet_v2 --quick --depth -1
      archcost verify --figures
      archcost verify --all --quick
    """
    from archcost.report.executed_figures import proofs
    from archcost.report.verify import data_table, layers_table, models_table
    from archcost.zoo.catalogue import CATALOGUE

    if models and everything:
        raise UsageError("name models or give `--all`, not both")
    names = tuple(CATALOGUE) if everything else models
    if not names and not figures:
        raise UsageError("name a model, or give `--all` or `--figures`")
    options = requested(input_size, num_classes, pairs)
    verified = [_verified(name, options, dtype, quick=quick) for name in told(names)]
    proven = proofs(lambda graph: executed(graph, dtype)) if figures or everything else []

    form = chosen_format(output_format, output)
    tables: list[Table] = []
    if len(verified) == 1 and not everything:
        tables = [layers_table(verified[0], depth) if form != "csv" else data_table(verified[0])]
    elif verified:
        tables = [models_table(verified)]
    _print(tables, verified, proven, form, output, layers=len(verified) == 1 or depth is not None)
    return int(not all(one.holds for one in verified) or not all(one.holds for one in proven))


def executed(
    graph: Graph,
    dtype: str,
    original: Shape | None = None,
    *,
    engine: bool = False,
    weights: Mapping[str, Array] | None = None,
) -> Verification:
    """Run ``graph`` on a random image with the counting loops and compare what they did with what is computed.

    Args:
        graph: the network.
        dtype: element type.
        original: shape of its own image, if this is a smaller one.
        engine: whether to compare what the engine computes with what the loops have computed.
        weights: parameters and buffers by name; None for random ones.

    Raises:
        UsageError: if it does not fit into the memory.
    """
    from archcost import reference
    from archcost.cli.verify_checks import engine_checks
    from archcost.cost import BYTES
    from archcost.geometry import product
    from archcost.report.formats import mebibytes
    from archcost.report.memory import peak_activations
    from archcost.report.verify import Check, Executed, verify

    try:
        parameters, buffers = reference.allocated(graph, dtype)
        if weights is None:
            _damp(graph, parameters)
        for stored in (parameters, buffers):
            for name in stored.keys() & (weights or {}).keys():
                stored[name][...] = (weights or {})[name].reshape(stored[name].shape)
        inputs = reference.images(graph, dtype)
        done = reference.execute(graph, parameters, buffers, inputs, keep=None if engine else ())
        more = engine_checks(graph, parameters, buffers, inputs, done.values) if engine else ()
    except MemoryError:
        needed = mebibytes(BYTES[dtype] * sum(map(product, graph.tensors().values())))
        raise UsageError(f"{graph.name}: its tensors do not fit into the memory ({needed} of weights)") from None
    peak = peak_activations(graph)
    live = BYTES[dtype] * peak.elements
    checks = (
        Check("peak live bytes", live, done.peak_bytes, live == done.peak_bytes),
        Check("operator at the peak", peak.node, done.peak_at, peak.node == done.peak_at),
    )
    counts = {name: Executed(*step) for name, step in done.steps.items()}
    return verify(graph, counts, (*checks, *more), dtype=dtype, original=original)


def _damp(graph: Graph, parameters: Mapping[str, Array]) -> None:
    """Quarter the factors of BatchNorm, so that a residual branch adds little to what it is added to.

    With random statistics and factors around 1, the activations of hundreds of blocks grow beyond all bounds, and the
    outputs depend on the last bit of the inputs: then two right executions differ as much as a right and a wrong one.
    """
    from archcost.ops import BatchNorm2d

    for node in graph:
        if isinstance(node.op, BatchNorm2d) and node.shares is None and "weight" in graph.params(node):
            parameters[f"{node.name}.weight"][...] /= 4


def _verified(model: str, options: dict[str, object], dtype: str, *, quick: bool) -> Verification:
    """Open a network, reduce its image if it has too many mult-adds, run it, and check its gradients."""
    from archcost.cli.verify_checks import gradient_check
    from archcost.interop.model import open_model, open_weights
    from archcost.report.formats import si
    from archcost.report.reduced import mult_adds, reduced

    graph = open_model(model, options)
    given = "input_size" in options or "resolution" in options

    def small(limit: int) -> Graph:
        if given:
            return graph
        return reduced(graph, lambda shape: open_model(model, {**options, "input_size": shape}), limit)

    limit = QUICK_LIMIT if quick else LIMIT
    smaller = small(limit)
    if mult_adds(smaller) > 10 * limit:
        warn(f"{smaller.name}: {si(mult_adds(smaller))} mult-adds take plain loops a while")
    original = None if smaller is graph else graph.shapes[graph.inputs[0].name]
    done = executed(smaller, dtype, original, engine=True, weights=open_weights(model, options))
    gradients = gradient_check(small(QUICK_GRADIENT_LIMIT if quick else GRADIENT_LIMIT), 1 if quick else DIRECTIONS)
    return replace(done, checks=(*done.checks, gradients))


def told(names: Sequence[str]) -> Iterator[str]:
    """Yield ``names``, and tell on a terminal which of them is under way."""
    tells = sys.stderr is not None and sys.stderr.isatty() and len(names) > 1
    for index, name in enumerate(names, 1):
        if tells:
            sys.stderr.write(f"\r\033[K{index} of {len(names)}: {name}")
            sys.stderr.flush()
        yield name
    if tells:
        sys.stderr.write("\r\033[K")


def _print(
    tables: Iterable[Table],
    verified: Sequence[Verification],
    proven: Sequence[Proof],
    form: Format,
    output: str | None,
    *,
    layers: bool,
) -> None:
    from archcost.report.executed_figures import figures_dict, figures_table
    from archcost.report.formats import html_page
    from archcost.report.verify import as_dict

    shown = [*tables, *([figures_table(proven)] if proven else [])]
    if form == "json":
        import json

        data = as_dict(verified, layers=layers)
        data["holds"] = bool(data["holds"]) and all(one.holds for one in proven)
        emit(json.dumps({**data, "figures": figures_dict(proven)}, indent=2), output)
    elif form == "table" and output is None:
        for index, table in enumerate(shown):
            if index:
                emit("", None)
            emit_table(table, None)
    elif form == "html":
        emit(html_page("archcost verify", "\n".join(table.html_body() for table in shown)), output)
    elif form == "csv":
        emit(shown[0].render("csv"), output)  # a file of data holds one table
    else:
        emit("\n\n".join(table.render(form) for table in shown), output)
