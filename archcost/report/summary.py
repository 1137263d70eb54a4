"""The summary of one network: what it costs, layer by layer and in total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase

from archcost.errors import UsageError
from archcost.geometry import shape_text
from archcost.graph import Graph
from archcost.patterns import frozen_nodes, matches
from archcost.recomputation import recomputation
from archcost.report.columns import (
    COLUMNS,
    COUNTED,
    DEFAULT,
    RECOMPUTED,
    TRAINING,
    WEIGHED,
    checked_columns,
    checked_sort,
)
from archcost.report.formats import Cell, Format, Table, as_csv, as_html
from archcost.report.gaps import coverage
from archcost.report.layers import remainder, tree_cells
from archcost.report.rows import Row, fold, rows_of, summed, total
from archcost.report.stored import Stored, stored_text, with_stored
from archcost.report.text import footer
from archcost.report.totals import Totals, TrainingTotals, totals_of, training_totals_of
from archcost.segments import recomputed_costs

SCHEMA = "archcost.summary/1"
DEFAULT_DEPTH = 2


@dataclass(frozen=True)
class View:
    """Which rows and columns of a summary are shown.

    Attributes:
        depth: levels of the layer tree; negative shows every operator. None: 2 in tables, all in JSON and CSV.
        columns: names from ``columns.COLUMNS``; empty for the default ones.
        sort: column to sort by, largest first; empty keeps the order of execution.
        top: number of rows to show; None for all.
        only: patterns of layer names, operators or kinds to show; empty for all.
    """

    depth: int | None = None
    columns: tuple[str, ...] = ()
    sort: str = ""
    top: int | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """What a network costs. Made by ``summarize``; prints itself as the table, and renders itself in a notebook.

    Attributes:
        graph: the network.
        rows: one row for each operator.
        totals: what they add up to; counts are for one image.
        training: what a training step costs, if asked for.
        batch_size: the stated factor.
        dtype: element type of weights and activations.
        convention: name of the counter whose rule fills the column ``counted``, if one was asked for.
        view: which rows and columns are shown.
        stored: node -> what a file of weights stores for it, if one was given.
    """

    graph: Graph
    rows: tuple[Row, ...]
    totals: Totals
    training: TrainingTotals | None
    batch_size: int
    dtype: str
    convention: str
    view: View
    stored: Mapping[str, Stored] = field(default_factory=dict)

    def shown(self, depth: int) -> list[Row]:
        """Return the rows of the view at ``depth``, in its order."""
        rows = fold(self.graph, self.rows, depth if self.view.depth is None else self.view.depth)
        if self.view.only:
            rows = [row for row in rows if any(_selected(row, pattern) for pattern in self.view.only)]
            if not rows:
                raise UsageError(f"no row matches {','.join(self.view.only)!r} (`--depth -1` shows every operator)")
        if self.view.sort:
            attribute = checked_sort(self.view.sort)
            rows.sort(key=lambda row: -getattr(row, attribute))
        return rows[: self.view.top]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are shown."""
        trained = RECOMPUTED if self.training and self.training.recomputation else TRAINING
        usual = COUNTED if self.convention else trained if self.training else WEIGHED if self.stored else DEFAULT
        return self.view.columns or usual

    def table(self, *, tree: bool = True) -> Table:
        """Return the layers, what is not shown, and the total.

        Args:
            tree: indent the names below their scopes; full names otherwise (for formats that lose indentation).
        """
        chosen, rows, sums = self.columns, self.shown(DEFAULT_DEPTH), total(self.rows)
        columns = [COLUMNS[name] for name in chosen]
        headers = ["layer", *(self.convention if name == "counted" else COLUMNS[name].header for name in chosen)]
        cells: list[list[Cell]] = [[row.name, *(column.value(row, sums) for column in columns)] for row in rows]
        if tree and not self.view.sort and not self.view.only:
            cells = tree_cells(self.graph, rows, cells)
        rest = remainder(self.rows, rows)
        everything = summed("total", sums)
        for row in (rest, everything):
            if row is not None:
                cells.append([row.name, *(column.value(row, sums) if column.key else None for column in columns)])
        importance = (100, *(column.importance for column in columns))
        return Table(self.title, tuple(headers), tuple(map(tuple, cells)), self.notes, importance)

    @property
    def title(self) -> str:
        """Name, variant, input, element type."""
        inputs = ", ".join(shape_text(self.graph.shapes[node.name]) for node in self.graph.inputs)
        return f"{self.graph.title}, input {inputs}, {self.dtype}"

    @property
    def notes(self) -> str:
        """The totals and the definitions, as text."""
        counted = total(self.rows)["counted"] if self.convention else None
        text = footer(self.totals, self.training, self.batch_size, self.dtype, self.convention, counted)
        lines = (coverage(self.graph).text, stored_text(self.stored) if self.stored else "", text)
        return "\n".join(filter(None, lines))

    def to_dict(self) -> dict[str, object]:
        """Return everything as plain values: the schema ``archcost.summary/1``, raw integers."""
        layers = [
            {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in asdict(row).items()
                if self._is_filled(key)
            }
            for row in self.shown(-1)
        ]
        totals: dict[str, object] = asdict(self.totals)
        if self.convention:
            totals["counted"] = total(self.rows)["counted"]
        data: dict[str, object] = {
            "schema": SCHEMA,
            "model": {
                "name": self.graph.name,
                "variant": self.graph.variant,
                "inputs": {node.name: list(self.graph.shapes[node.name]) for node in self.graph.inputs},
                "outputs": {name: list(self.graph.shapes[name]) for name in self.graph.outputs},
            },
            "options": {"dtype": self.dtype, "convention": self.convention or None, "depth": self.view.depth},
            "totals": totals,
            "batch": _batch(self.totals, self.batch_size),
        }
        if self.training is not None:
            data["training"] = asdict(self.training)
        found = coverage(self.graph)
        if found.gaps:
            data["coverage"] = found.as_dict()
        rest = remainder(self.rows, self.shown(-1))
        missing = {name: value for name, value in total([rest]).items() if self._is_filled(name)} if rest else None
        return {**data, "layers": layers, "not_shown": missing}

    def to_json(self) -> str:
        """Return ``to_dict`` as JSON text."""
        import json

        return json.dumps(self.to_dict(), indent=2)

    def to_csv(self) -> str:
        """Return the rows as CSV: raw numbers, plain names, no total line."""
        chosen = self.view.columns or tuple(
            name for name in COLUMNS if not name.endswith("_share") and self._is_filled(name)
        )
        sums = total(self.rows)
        rows = [[row.name, *(COLUMNS[name].value(row, sums) for name in chosen)] for row in self.shown(-1)]
        return as_csv(("layer", *chosen), rows)

    def _is_filled(self, column: str) -> bool:
        if column == "counted":
            return bool(self.convention)
        if column == "receptive_field":
            return column in self.view.columns
        if column in ("weights", "weights_dtype", "zeros", "sparsity"):
            return bool(self.stored)
        if column.startswith("recomputed_"):
            return self.training is not None and self.training.recomputation is not None
        return self.training is not None or not ("gradient" in column or column.startswith("train_"))

    def to_markdown(self) -> str:
        """Return title, table and notes as Markdown."""
        return self.render("md")

    def to_latex(self) -> str:
        """Return the table as a LaTeX tabular with the rules of booktabs; the notes are comments."""
        return self.render("latex")

    def to_html(self) -> str:
        """Return a page of its own."""
        return self.render("html")

    def render(self, output: Format) -> str:
        """Return the summary in any format."""
        if output == "json":
            return self.to_json()
        if output == "csv":
            return self.to_csv()
        return self.table(tree=output in ("table", "html")).render(output)

    def __str__(self) -> str:
        return self.render("table")

    def _repr_html_(self) -> str:
        from html import escape

        table = self.table()
        body = as_html(table.headers, table.rows)
        return f"<b>{escape(table.title)}</b>\n{body}\n<pre>{escape(table.notes)}</pre>"


def _selected(row: Row, pattern: str) -> bool:
    lowered = pattern.lower()
    return matches(row.name, pattern) or any(fnmatchcase(word.lower(), lowered) for word in (row.op, row.kind))


def _batch(totals: Totals, batch_size: int) -> dict[str, int]:
    per_image = ("mult_adds", "flops", "activations", "input_bytes", "peak_activation_bytes")
    return {"size": batch_size, **{name: batch_size * getattr(totals, name) for name in per_image}}


def summarize(
    graph: Graph,
    *,
    batch_size: int = 1,
    depth: int | None = None,
    columns: Sequence[str] = (),
    sort: str = "",
    top: int | None = None,
    only: Iterable[str] = (),
    train: bool = False,
    optimizer: str = "sgd",
    dtype: str = "float32",
    freeze: Iterable[str] = (),
    convention: str = "",
    stored: Mapping[str, Stored] | None = None,
    checkpoint_activations: bool = False,
) -> Summary:
    """Return what ``graph`` costs.

    Args:
        graph: the network (``archcost.load(name)``).
        batch_size: images in a batch; counts stay per image, and the batch's are stated beside them.
        depth: levels of the layer tree to show (0: only the total; -1: every operator).
        columns: names of columns (``report.columns.COLUMNS``).
        sort: column to sort by, largest first.
        top: show this many rows and sum up the rest.
        only: show rows whose name, operator or kind matches one of these patterns.
        train: add the exact cost of a training step.
        optimizer: sgd, momentum, nesterov, rmsprop, adam or adamw.
        dtype: float64, float32, float16, bfloat16 or int8.
        freeze: patterns of layers or scopes whose parameters are not trained.
        convention: another counter's rule (``report.conventions``), as a column beside ours.
        stored: what a file of weights stores for each node (``interop.stored``): adds its types and zeros.
        checkpoint_activations: training keeps few activations and computes the others again.

    Raises:
        UsageError: for an unknown column, type, optimizer or convention, or a pattern that matches nothing.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UsageError(f"`batch_size` (={batch_size!r}) must be an integer of at least 1")
    if top is not None and top < 1:
        raise UsageError(f"`top` (={top}) must be at least 1")
    view = View(depth, checked_columns(columns), sort, top, tuple(only))
    if sort:
        checked_sort(sort)
    counted = None
    if convention:
        from archcost.report.conventions import counted_nodes

        counted = counted_nodes(graph, convention)
    frozen = frozen_nodes(graph, freeze)
    fields = None
    if "receptive_field" in view.columns:
        from archcost.receptive_field import receptive_fields

        fields = receptive_fields(graph)
    recomputed, costs = None, None
    if checkpoint_activations:
        if not train:
            raise UsageError("`checkpoint_activations` is about training, which is not asked for (`train`)")
        trained = frozenset(node.name for node in graph if graph.params(node) and node.name not in frozen)
        recomputed = recomputation(graph, trained, graph.outputs)
        costs = recomputed_costs(graph, trained, recomputed.again)
    rows = tuple(rows_of(graph, frozen, counted, train=train, fields=fields, recomputed=costs))
    if stored:
        rows = with_stored(rows, stored)
    totals = totals_of(graph, rows, dtype)
    training = None
    if train:
        training = training_totals_of(graph, rows, frozen, dtype, optimizer, batch_size, recomputed)
    return Summary(graph, rows, totals, training, batch_size, dtype, convention, view, stored or {})
