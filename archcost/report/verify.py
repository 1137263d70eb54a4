"""What an execution did, operator by operator, against what follows from the shapes.

The report is given plain numbers: whoever ran the network (``archcost.reference``) counted them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from archcost.geometry import Shape, shape_text
from archcost.graph import Graph
from archcost.report.formats import Cell, Table, as_table, si
from archcost.report.layers import tree_cells
from archcost.report.rows import Row, fold, rows_of, summed, total

SCHEMA = "archcost.verify/1"

DEFAULT_DEPTH = 2
"""Levels of the layer tree that the table shows."""

COUNTED: dict[str, str] = {
    "params": "params allocated",
    "mult_adds": "mult-adds executed",
    "activations": "elements written",
}
"""Column of a row that an execution counts too -> what it counts."""

NOTE = (
    "executed by plain loops that count what they do: parameters of the arrays they read, multiply-adds,\n"
    "elements they write; the arrays of all tensors were watched until they were freed"
)

ENGINE_NOTE = (
    "engine: the same arrays, operators fused and each alone; difference relative to an output's largest element\n"
    "gradients: float64, training mode, all parameters along random directions against finite differences"
)


class Executed(NamedTuple):
    """What the execution of one operator counted, for one image.

    Attributes:
        params: elements of its own parameter arrays.
        mult_adds: multiply-adds executed.
        activations: elements written to a new tensor.
        output_shape: shape of one image's output.
    """

    params: int
    mult_adds: int
    activations: int
    output_shape: Shape


class Check(NamedTuple):
    """Something of the whole network that was computed and executed.

    Attributes:
        what: in words.
        computed, executed: the two values; or what a difference may be, and what it is.
        holds: whether they agree.
        checked: False if the check could not be made; then ``executed`` says why.
    """

    what: str
    computed: Cell
    executed: Cell
    holds: bool
    checked: bool = True

    @property
    def verdict(self) -> str:
        """The result in a word."""
        if not self.checked:
            return "open"
        if not self.holds:
            return "DIFFERS"
        return "equal" if self.computed == self.executed else "within"


@dataclass(frozen=True)
class Verification:
    """One network that was executed.

    Attributes:
        graph: the network, on the image that it was executed on.
        original: shape of its own image, if the execution used a smaller one.
        dtype: element type of the execution.
        computed: a row for each operator, from the shapes.
        executed: the same rows with what the execution counted.
        checks: what was compared besides: the peak of the live bytes, and whatever else a run can be held against.
    """

    graph: Graph
    original: Shape | None
    dtype: str
    computed: tuple[Row, ...]
    executed: tuple[Row, ...]
    checks: tuple[Check, ...]

    @property
    def differences(self) -> dict[str, str]:
        """Operators whose numbers differ, with how they do."""
        pairs = zip(self.computed, self.executed)
        return {one.name: text for one, other in pairs if (text := _difference(one, other))}

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.differences and all(check.holds for check in self.checks)

    @property
    def image(self) -> str:
        """The input, and what it was reduced from."""
        text = ", ".join(shape_text(self.graph.shapes[node.name]) for node in self.graph.inputs)
        return f"{text} (own: {shape_text(self.original)})" if self.original else text

    @property
    def totals(self) -> list[Check]:
        """The sums of what was counted, and how many output shapes agree."""
        computed, executed = total(self.computed), total(self.executed)
        sums = [
            Check(text, computed[name], executed[name], computed[name] == executed[name])
            for name, text in COUNTED.items()
        ]
        same = sum(one.output_shape == other.output_shape for one, other in zip(self.computed, self.executed))
        return [*sums, Check("output shapes", len(self.computed), same, same == len(self.computed))]


def verify(
    graph: Graph,
    executed: Mapping[str, Executed],
    checks: Sequence[Check] = (),
    *,
    dtype: str = "float64",
    original: Shape | None = None,
) -> Verification:
    """Return the comparison of what ``graph`` costs with what its execution counted.

    Args:
        graph: the network.
        executed: node -> what its execution counted, for every operator.
        checks: what else was compared.
        dtype: element type of the execution.
        original: shape of the network's own image, if a smaller one was used.
    """
    computed = tuple(rows_of(graph))
    counted = tuple(replace(row, **executed[row.name]._asdict()) for row in computed)
    return Verification(graph, original, dtype, computed, counted, tuple(checks))


def _difference(computed: Row, executed: Row) -> str:
    """Return how two rows differ in what was counted; nothing if they do not."""
    texts = []
    for name in COUNTED:
        one, other = getattr(computed, name), getattr(executed, name)
        if one != other:
            texts.append(f"{name.replace('_', '-')} {other - one:+,}")
    if computed.output_shape != executed.output_shape:
        texts.append(f"shape {shape_text(executed.output_shape)}, not {shape_text(computed.output_shape)}")
    return ", ".join(texts)


def layers_table(verification: Verification, depth: int | None = None) -> Table:
    """Return one network's table: what each operator did, and how it differs from what was computed.

    Args:
        verification: the network.
        depth: levels of the layer tree; operators below are summed up. -1 shows every operator.
    """
    graph, differences = verification.graph, verification.differences
    depth = DEFAULT_DEPTH if depth is None else depth
    rows = fold(graph, verification.executed, depth)
    below = [_below(row, "" if depth == 0 else f"{row.name}.", differences) for row in rows]
    cells = tree_cells(graph, rows, [_cells(row, text) for row, text in zip(rows, below)])
    for name, side in (("executed", verification.executed), ("computed", verification.computed)):
        everything = summed(name, total(side))
        difference = _number_of(len(differences), "operator") if name == "executed" else None
        cells.append([name, None, None, *(getattr(everything, column) for column in COUNTED), difference])
    headers = ("layer", "operator", "output shape", *COUNTED.values(), "difference")
    title = f"{graph.title}, input {verification.image}, {verification.dtype}: verified by execution"
    return Table(title, headers, tuple(map(tuple, cells)), _notes(verification), (100, 30, 40, 60, 80, 50, 100))


def _cells(row: Row, difference: str) -> list[Cell]:
    counts = (getattr(row, column) for column in COUNTED)
    return [row.name, row.label, shape_text(row.output_shape), *counts, difference]


def _below(row: Row, start: str, differences: Mapping[str, str]) -> str:
    """Return how an operator differs, or how many do of a scope in which names have this start."""
    if row.kind != "scope":
        return differences.get(row.name, "0")
    return _number_of(sum(name.startswith(start) for name in differences), "operator")


def _number_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}" if count else "0"


def _notes(verification: Verification) -> str:
    checks = [*verification.totals, *verification.checks]
    lines = [(one.what, one.computed, one.executed, one.verdict) for one in checks]
    headers = ("per image", "computed", "executed", "")
    operators = _number_of(len(verification.computed), "operator")
    result = f"verified: no difference in {operators}"
    if not verification.holds:
        failing = sum(not one.holds for one in checks)
        result = (
            f"NOT verified: {len(verification.differences)} of {operators} differ, {failing} of {len(checks)} checks"
        )
    return "\n\n".join([as_table(headers, lines), _method([verification]), result + _open_checks([verification])])


def _method(verifications: Sequence[Verification]) -> str:
    """Return how it was executed, and how compared with the engine if that was done."""
    with_engine = any("engine" in check.what for one in verifications for check in one.checks)
    return f"{NOTE}\n{ENGINE_NOTE}" if with_engine else NOTE


def _open_checks(verifications: Sequence[Verification]) -> str:
    """Return which networks have a check that could not be made."""
    missing = [check for one in verifications for check in one.checks if not check.checked]
    return f"; {_number_of(len(missing), 'check')} could not be made" if missing else ""


def models_table(verifications: Sequence[Verification]) -> Table:
    """Return one line for each network."""
    headers = ("model", "input", "operators", *COUNTED.values(), "peak live bytes", "difference")
    rows = tuple(_model_cells(one) for one in verifications)
    differing = sum(not one.holds for one in verifications)
    networks = _number_of(len(verifications), "network")
    result = f"verified: no difference in {networks}"
    if differing:
        result = f"NOT verified: {differing} of {networks} differ"
    mult_adds = sum(total(one.executed)["mult_adds"] for one in verifications)
    result += _open_checks(verifications)
    notes = f"{_method(verifications)}\n\n{si(mult_adds)} mult-adds executed\n{result}"
    return Table("verified by execution, per image", headers, rows, notes, (100, 40, 20, 60, 90, 50, 30, 100))


def _model_cells(one: Verification) -> tuple[Cell, ...]:
    sums = total(one.executed)
    wrong = [f"{name}: {text}" for name, text in one.differences.items()]
    wrong += [f"{check.what} {check.executed}, not {check.computed}" for check in one.checks if not check.holds]
    unmade = [f"0; {check.what} {check.executed}" for check in one.checks if not check.checked]
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    peak = next((check.executed for check in one.checks), None)
    difference = f"{wrong[0]}{more}" if wrong else (unmade or ["0"])[0]
    return one.graph.name, one.image, len(one.executed), *(sums[name] for name in COUNTED), peak, difference


def data_table(verification: Verification) -> Table:
    """Return every operator with both numbers (for CSV)."""
    shapes = ("output_shape", "output_shape_executed")
    numbers = (f"{name}{side}" for name in COUNTED for side in ("", "_executed"))
    headers = ("layer", "operator", *shapes, *numbers)
    rows = []
    for one, other in zip(verification.computed, verification.executed):
        counts = (getattr(row, name) for name in COUNTED for row in (one, other))
        rows.append((one.name, one.op, shape_text(one.output_shape), shape_text(other.output_shape), *counts))
    return Table(verification.graph.title, headers, tuple(rows))


def as_dict(verifications: Sequence[Verification], *, layers: bool) -> dict[str, object]:
    """Return the verified networks as plain values: the schema ``archcost.verify/1``, raw integers.

    Args:
        verifications: the networks.
        layers: whether to list every operator; those that differ are always listed.
    """
    return {
        "schema": SCHEMA,
        "holds": all(one.holds for one in verifications),
        "models": [_model_dict(one, layers=layers) for one in verifications],
    }


def _model_dict(verification: Verification, *, layers: bool) -> dict[str, object]:
    graph, differences = verification.graph, verification.differences
    pairs = zip(verification.computed, verification.executed)
    shown = [pair for pair in pairs if layers or pair[0].name in differences]
    return {
        "name": graph.name,
        "variant": graph.variant,
        "inputs": {node.name: list(graph.shapes[node.name]) for node in graph.inputs},
        "original_input": list(verification.original) if verification.original else None,
        "dtype": verification.dtype,
        "operators": len(verification.computed),
        "holds": verification.holds,
        "totals": {name: _both(total(verification.computed)[name], total(verification.executed)[name])
                   for name in COUNTED},
        "checks": [check._asdict() for check in verification.checks],
        "layers": [_layer_dict(one, other, differences.get(one.name, "")) for one, other in shown],
    }  # fmt: skip


def _layer_dict(computed: Row, executed: Row, difference: str) -> dict[str, object]:
    shapes = _both(list(computed.output_shape), list(executed.output_shape))
    numbers = {name: _both(getattr(computed, name), getattr(executed, name)) for name in COUNTED}
    return {"name": computed.name, "op": computed.op, "output_shape": shapes, **numbers, "difference": difference}


def _both(computed: object, executed: object) -> dict[str, object]:
    return {"computed": computed, "executed": executed}
