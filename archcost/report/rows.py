"""One row per operator, and the totals that the rows add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from archcost.cost import NO_COST, Cost
from archcost.geometry import Shape, product
from archcost.graph import Graph
from archcost.ops.base import Input, Op
from archcost.report.training import NOT_TRAINED, Backward, backward_pass

if TYPE_CHECKING:
    from archcost.receptive_field import ReceptiveField  # only whoever asks for receptive fields imports it

ADDITIVE: tuple[str, ...] = (
    "operators",
    "params",
    "params_trainable",
    "buffers",
    "mult_adds",
    "flops",
    "activations",
    "train_flops",
    "input_gradient_mult_adds",
    "input_gradient_flops",
    "weight_gradient_mult_adds",
    "weight_gradient_flops",
    "recomputed_mult_adds",
    "recomputed_flops",
    "counted",
    "weights",
    "zeros",
)
"""Columns of a row whose sum over all rows is the total, at every depth of the tree."""


@dataclass(frozen=True)
class Row:
    """What one operator costs, for one image (or several operators, when a scope is folded to a row).

    Attributes:
        name: dotted path.
        op: operator (``Conv2d``), or what the folded scope is (``Bottleneck``).
        kind: conv, grouped, depthwise, pointwise, dense, pool, norm, ...
        label: short text of the operator with its window.
        output_shape: shape of one image's output.
        operators: number of operators in this row.
        params, params_trainable, buffers: elements that this row owns; 0 for shared ones, which their owner counts.
        mult_adds, flops: of inference (see ``cost.DEFINITIONS``).
        activations: output elements, if it makes a new tensor.
        train_flops: FLOPs of the forward pass in training.
        input_gradient_mult_adds, input_gradient_flops: of the gradients to its inputs.
        weight_gradient_mult_adds, weight_gradient_flops: of the gradients to its parameters.
        recomputed_mult_adds, recomputed_flops: of its output, where activations are recomputed.
        counted: what the chosen convention counts for it; 0 without one.
        weights, zeros: values that a file of weights stores for it, and how many of them are 0; 0 without a file.
        weights_dtype: their element types.
        receptive_field: what an output element sees of the image (``35x35/4``: rows x columns, stride), if asked for.
    """

    name: str
    op: str
    kind: str
    label: str
    output_shape: Shape
    operators: int = 1
    params: int = 0
    params_trainable: int = 0
    buffers: int = 0
    mult_adds: int = 0
    flops: int = 0
    activations: int = 0
    train_flops: int = 0
    input_gradient_mult_adds: int = 0
    input_gradient_flops: int = 0
    weight_gradient_mult_adds: int = 0
    weight_gradient_flops: int = 0
    recomputed_mult_adds: int = 0
    recomputed_flops: int = 0
    counted: int = 0
    weights: int = 0
    zeros: int = 0
    weights_dtype: str = ""
    receptive_field: str = ""


def rows_of(
    graph: Graph,
    frozen: frozenset[str] = frozenset(),
    counted: Iterable[int] | None = None,
    *,
    train: bool = False,
    fields: Mapping[str, ReceptiveField] | None = None,
    recomputed: Mapping[str, Cost] | None = None,
) -> list[Row]:
    """Return one row for each operator of ``graph``, in its order (the network's inputs are no operators).

    Args:
        graph: the network.
        frozen: names of the nodes whose parameters are not trained.
        counted: what a convention counts for each node.
        train: fill the columns of training too; they are 0 otherwise.
        fields: receptive field of each node, to be shown.
        recomputed: the work of each node that is computed again on the way back.
    """
    backward = backward_pass(graph, frozen) if train else [NOT_TRAINED] * len(graph)
    numbers = list(counted) if counted is not None else [0] * len(graph)
    result = []
    for node, part, number in zip(graph, backward, numbers):
        if isinstance(node.op, Input):
            continue
        op, inputs, output = node.op, graph.input_shapes(node), graph.shapes[node.name]
        cost, owns = op.cost(*inputs), node.shares is None
        again = recomputed.get(node.name, NO_COST) if recomputed else NO_COST
        params = sum(map(product, op.params(*inputs).values())) if owns else 0
        result.append(
            Row(
                name=node.name,
                op=type(op).__name__,
                kind=op.kind(*inputs),
                label=op.label(*inputs) + ("" if owns else f" (shares {node.shares})"),
                output_shape=output,
                params=params,
                params_trainable=0 if node.name in frozen else params,
                buffers=sum(map(product, op.buffers(*inputs).values())) if owns else 0,
                mult_adds=cost.mult_adds,
                flops=cost.flops,
                activations=product(output) if op.makes_tensor else 0,
                train_flops=_training_flops(op, inputs, part) if train else 0,
                input_gradient_mult_adds=part.to_inputs.mult_adds,
                input_gradient_flops=part.to_inputs.flops,
                weight_gradient_mult_adds=part.to_params.mult_adds,
                weight_gradient_flops=part.to_params.flops,
                recomputed_mult_adds=again.mult_adds,
                recomputed_flops=again.flops,
                counted=number,
                receptive_field=field_text(fields.get(node.name)) if fields else "",
            )
        )
    return result


def field_text(field: ReceptiveField | None) -> str:
    """Return ``35x35/4`` for a receptive field, ``all`` when it is the whole image, nothing where there is none."""
    if field is None:
        return ""
    if field.everything:
        return "all"
    rows, columns = field.stride
    return f"{field.size[0]}x{field.size[1]}/{rows}" + (f"x{columns}" if rows != columns else "")


def _training_flops(op: Op, inputs: tuple[Shape, ...], part: Backward) -> int:
    """A frozen normalisation runs as in inference, whatever is trained around it."""
    return op.cost(*inputs, training=part.trainable or not op.params(*inputs)).flops


def total(rows: Iterable[Row]) -> dict[str, int]:
    """Return the sum of each additive column."""
    sums = dict.fromkeys(ADDITIVE, 0)
    for row in rows:
        for column in ADDITIVE:
            sums[column] += getattr(row, column)
    return sums


def summed(name: str, sums: Mapping[str, Any]) -> Row:
    """Return a row of that name that stands for several operators: the sums of the additive columns."""
    return replace(Row(name, "", "", "", ()), **sums)


def fold(graph: Graph, rows: Iterable[Row], depth: int) -> list[Row]:
    """Return the rows of the layer tree cut at ``depth`` levels: what lies deeper is summed into its scope's row.

    Args:
        graph: the network that the rows belong to.
        rows: one row for each operator.
        depth: levels of the dotted names to show; 0 leaves one row, negative shows every operator.
    """
    if depth < 0:
        return list(rows)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(".".join(row.name.split(".")[:depth]), []).append(row)
    return [_folded(graph, scope, members) for scope, members in groups.items()]


def _folded(graph: Graph, scope: str, members: list[Row]) -> Row:
    if len(members) == 1 and members[0].name == scope:
        return members[0]
    kind = graph.scopes.get(scope, "") if scope else graph.name
    return Row(
        name=scope or graph.name,
        op=kind or "scope",
        kind="scope",
        label=kind,
        output_shape=members[-1].output_shape,
        receptive_field=members[-1].receptive_field,
        weights_dtype=", ".join(dict.fromkeys(member.weights_dtype for member in members if member.weights_dtype)),
        **total(members),
    )
