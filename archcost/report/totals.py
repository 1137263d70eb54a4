"""The totals of a network: what all rows add up to, and what no row can say (peak memory, training memory)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archcost.cost import BYTES, OPTIMIZERS
from archcost.errors import UsageError, did_you_mean
from archcost.geometry import product
from archcost.graph import Graph
from archcost.recomputation import Recomputation
from archcost.report.memory import peak_activations
from archcost.report.rows import Row, total
from archcost.report.training import backward_pass, saved_activation_bytes


@dataclass(frozen=True)
class Totals:
    """Totals of one network; counts are for one image.

    Attributes:
        params, params_trainable, params_frozen: learnable scalars, and which of them are trained.
        buffers: stored scalars that are not learned.
        mult_adds, flops, activations: of inference.
        weight_bytes: of the parameters in the chosen element type.
        input_bytes: of the network's inputs.
        peak_activation_elements, peak_activation_bytes, peak_activation_at: peak of inference, and the operator there.
    """

    params: int
    params_trainable: int
    params_frozen: int
    buffers: int
    mult_adds: int
    flops: int
    activations: int
    weight_bytes: int
    input_bytes: int
    peak_activation_elements: int
    peak_activation_bytes: int
    peak_activation_at: str


@dataclass(frozen=True)
class RecomputationTotals:
    """What recomputing activations costs and saves; work for one image, memory for the batch.

    Attributes:
        segments: parts of the network, of which all but the last are computed again.
        mult_adds, flops: what is computed again.
        plain_saved_activation_bytes: saved activations without recomputation.
        peak_bytes, plain_peak_bytes: the most bytes of activations and their gradients at once, with and without it
            (``recomputation.Recomputation``).
    """

    segments: int
    mult_adds: int
    flops: int
    plain_saved_activation_bytes: int
    peak_bytes: int
    plain_peak_bytes: int


@dataclass(frozen=True)
class TrainingTotals:
    """What one training step costs: work for one image, memory for the batch.

    Attributes:
        forward_flops: the forward pass in training (batch statistics, dropout masks).
        input_gradient_mult_adds, input_gradient_flops: gradients to the inputs of the operators.
        weight_gradient_mult_adds, weight_gradient_flops: gradients to the parameters.
        optimizer: name of the optimizer.
        optimizer_flops: one update, once a batch.
        weight_bytes, gradient_bytes, optimizer_bytes, saved_activation_bytes: memory, ``total_bytes`` their sum.
        recomputation: what recomputing activations changes, if they are recomputed.
    """

    forward_flops: int
    input_gradient_mult_adds: int
    input_gradient_flops: int
    weight_gradient_mult_adds: int
    weight_gradient_flops: int
    optimizer: str
    optimizer_flops: int
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    saved_activation_bytes: int
    total_bytes: int
    recomputation: RecomputationTotals | None = None


def totals_of(graph: Graph, rows: Sequence[Row], dtype: str) -> Totals:
    """Return the totals of inference.

    Raises:
        UsageError: for an unknown element type.
    """
    if dtype not in BYTES:
        raise UsageError(f"unknown dtype {dtype!r}{did_you_mean(dtype, BYTES)}; known are {', '.join(BYTES)}")
    size, sums, peak = BYTES[dtype], total(rows), peak_activations(graph)
    return Totals(
        params=sums["params"],
        params_trainable=sums["params_trainable"],
        params_frozen=sums["params"] - sums["params_trainable"],
        buffers=sums["buffers"],
        mult_adds=sums["mult_adds"],
        flops=sums["flops"],
        activations=sums["activations"],
        weight_bytes=size * sums["params"],
        input_bytes=size * sum(product(graph.shapes[node.name]) for node in graph.inputs),
        peak_activation_elements=peak.elements,
        peak_activation_bytes=size * peak.elements,
        peak_activation_at=peak.node,
    )


def training_totals_of(
    graph: Graph,
    rows: Sequence[Row],
    frozen: frozenset[str],
    dtype: str,
    optimizer: str,
    batch_size: int,
    recomputed: Recomputation | None = None,
) -> TrainingTotals:
    """Return what one training step costs.

    Args:
        graph: the network.
        rows: its operators, with the columns of training.
        frozen: nodes whose parameters are not trained.
        dtype: element type.
        optimizer: its name.
        batch_size: images of a step.
        recomputed: how activations are recomputed, if they are.

    Raises:
        UsageError: for an unknown optimizer, or an element type that cannot be trained in.
    """
    if optimizer not in OPTIMIZERS:
        near = did_you_mean(optimizer, OPTIMIZERS)
        raise UsageError(f"unknown optimizer {optimizer!r}{near}; known are {', '.join(OPTIMIZERS)}")
    if dtype == "int8":
        raise UsageError("dtype 'int8' cannot be trained in; choose a floating-point type")
    size, sums, rule = BYTES[dtype], total(rows), OPTIMIZERS[optimizer]
    trained = sums["params_trainable"]
    backward, segments = backward_pass(graph, frozen), recomputed.segments if recomputed else ()
    memory = {
        "weight_bytes": size * sums["params"],
        "gradient_bytes": size * trained,
        "optimizer_bytes": size * rule.state * trained,
        "saved_activation_bytes": batch_size * saved_activation_bytes(graph, backward, size, segments),
    }
    recomputation = None
    if recomputed:
        recomputation = RecomputationTotals(
            segments=len(segments),
            mult_adds=sums["recomputed_mult_adds"],
            flops=sums["recomputed_flops"],
            plain_saved_activation_bytes=batch_size * saved_activation_bytes(graph, backward, size),
            peak_bytes=batch_size * size * recomputed.elements,
            plain_peak_bytes=batch_size * size * recomputed.plain_elements,
        )
    return TrainingTotals(
        forward_flops=sums["train_flops"],
        input_gradient_mult_adds=sums["input_gradient_mult_adds"],
        input_gradient_flops=sums["input_gradient_flops"],
        weight_gradient_mult_adds=sums["weight_gradient_mult_adds"],
        weight_gradient_flops=sums["weight_gradient_flops"],
        optimizer=optimizer,
        optimizer_flops=rule.operations * trained,
        total_bytes=sum(memory.values()),
        recomputation=recomputation,
        **memory,
    )
