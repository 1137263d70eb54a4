"""The results of a run as tables: a line for each comparison, ratios of archcost's time to the other's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archcost.bench.cases import Case
from archcost.bench.measuring import PROFILE, SUMMARY, title
from archcost.bench.peers import FILE_RUNTIMES, OURS, RUNTIMES, TORCH_LAYOUTS
from archcost.bench.results import Comparison, Results
from archcost.bench.rounds import Times, busy, fastest, ratio
from archcost.busy import BUSY
from archcost.report.formats import Cell, Format, Table

MARK = "*"
BUSY_NOTE = (
    f"{MARK} other programs took more than {BUSY:.0%} of the processors meanwhile, however often it was repeated"
)
RATIO_NOTE = (
    "ratios: archcost's time over the other's, paired by rounds: median (lowest to highest); below 1 archcost is faster"
)
MIB = 2**20


def rendered(results: Results, form: Format) -> str:
    """Return the whole report in a text format."""
    tables = [table for table in (inference(results), training(results), startup(results), memory(results)) if table]
    head = [*results.machine.lines(), *results.notes]
    if form == "csv":
        return "\n\n".join(table.render(form) for table in tables)
    separator = "\n\n" if form == "md" else "\n"
    return "\n\n".join([separator.join(head), *(table.render(form) for table in tables)])


def inference(results: Results) -> Table | None:
    """Return the table of inference."""
    return _speeds(results, "inference", "Inference")


def training(results: Results) -> Table | None:
    """Return the table of training steps."""
    return _speeds(results, "training", "Training steps: forward, loss, backward, update")


def _speeds(results: Results, section: str, heading: str) -> Table | None:
    """Return a table of times and their ratios to each runtime; columns that nothing was measured for are left out."""
    found = results.of(section)
    if not found:
        return None
    columns: list[tuple[str, Callable[[Comparison], Cell]]] = [("network", _name), ("batch", _batch)]
    measured = {name for one in found for name in one.times}
    others = [name for name in RUNTIMES if name in measured and name != OURS]
    columns.append(("archcost ms", lambda one: _milliseconds(one.times.get(OURS))))
    for name in others:
        columns.append((f"{title(name)} ms", lambda one, name=name: _milliseconds(one.times.get(name))))  # type: ignore[misc]
        columns.append((f"/ {title(name)}", lambda one, name=name: _ratio(one, (name,))))  # type: ignore[misc]
    for heads, names in (("/ faster of the two", FILE_RUNTIMES), ("/ torch's better layout", TORCH_LAYOUTS)):
        if len(set(names) & set(others)) > 1:
            columns.append((heads, lambda one, names=names: _ratio(one, names)))  # type: ignore[misc]
    if others:
        columns.append(("differ by", _differences))
    rows = tuple(tuple(cell(one) for _, cell in columns) for one in found)
    notes = [f"{results.machine.threads} threads, float32; median of {_rounds(results)}"]
    notes += [RATIO_NOTE] if others else []
    notes += _torch_note(others, section)
    notes += [BUSY_NOTE] if any(busy(one.times) for one in found) else []
    return Table(heading, tuple(head for head, _ in columns), rows, "\n".join([*notes, *_refusals(found)]))


def startup(results: Results) -> Table | None:
    """Return the table of whole processes."""
    found = results.of("startup")
    if not found:
        return None
    (one,) = found
    rows: list[tuple[Cell, ...]] = []
    for name, times in one.times.items():
        mark = MARK if times.busy is not None and times.busy > BUSY else ""
        compared = SUMMARY in one.times and name not in (SUMMARY, PROFILE)
        rows.append((f"{name}{mark}", _milliseconds(times), _against(one, SUMMARY, name) if compared else ""))
    notes = [f"median of {results.rounds} processes each, in turn, after one that does not count"]
    notes += [BUSY_NOTE] if busy(one.times) else []
    headers = ("whole process", "ms", f"{SUMMARY} / it")
    return Table("Start-up", headers, tuple(rows), "\n".join([*notes, *_refusals(found)]))


def memory(results: Results) -> Table | None:
    """Return the table of peak memory and of first results."""
    found = results.of("memory")
    if not found:
        return None
    names = [name for name in RUNTIMES if any(name in one.peaks for one in found)]
    rows = []
    for one in found:
        peaks = [one.peaks.get(name) for name in names]
        firsts = [one.firsts.get(name) for name in names]
        what = f"training, {one.case.optimizer}" if one.case and one.case.optimizer else "inference"
        cells: list[Cell] = [None if peak is None else round(peak / MIB) for peak in peaks]
        cells += [None if first is None else round(first, 2) for first in firsts]
        rows.append((_name(one), what, _batch(one), *cells))
    headers = (
        *("network", "what", "batch"),
        *(f"{title(name)} MiB" for name in names),
        *(f"{title(name)} first s" for name in names),
    )
    notes = [
        "MiB: peak resident memory above the process that has imported the runtime; weights, code and buffers together",
        "first s: from the network's name or file to its first outputs, after the imports; all is compiled",
    ]
    if all(peak is None for one in found for peak in one.peaks.values()):
        notes.append("memory is not measured: this platform does not tell the peak of a process")
    return Table("Memory and first result", headers, tuple(rows), "\n".join([*notes, *_refusals(found)]))


def short(results: Results) -> list[Table]:
    """Return what a README shows: against the best of the others, start-up, and the peaks of memory."""
    tables = []
    for section, heading in (("inference", "inference"), ("training", "training step")):
        found = results.of(section)
        groups = [("/ faster of ONNX Runtime and OpenVINO", FILE_RUNTIMES), ("/ torch's better layout", TORCH_LAYOUTS)]
        groups = [(head, names) for head, names in groups if any(set(names) & set(one.times) for one in found)]
        rows = [
            (_name(one), _batch(one), _milliseconds(one.times.get(OURS)), *(_ratio(one, names) for _, names in groups))
            for one in found
        ]
        if rows:
            marks = BUSY_NOTE if any(busy(one.times) for one in found) else ""
            headers = (heading, "batch", "archcost ms", *(head for head, _ in groups))
            tables.append(Table("", headers, tuple(rows), marks))
    start = startup(results)
    held = memory(results)
    while held and (extra := [index for index, head in enumerate(held.headers) if "last" in head or "first" in head]):
        held = held.without(extra[0])
    return [*tables, *(Table("", table.headers, table.rows) for table in (start, held) if table)]


def _rounds(results: Results) -> str:
    return f"{results.rounds} rounds, in each of which every runtime has {results.seconds:g} s of its own"


def _name(one: Comparison) -> str:
    case = one.case or Case("", 0)
    size = "" if case.resolution is None else f" {case.resolution}x{case.resolution}"
    return f"{case.model}{size}{MARK if busy(one.times) else ''}"


def _batch(one: Comparison) -> Cell:
    return one.case.batch if one.case else None


def _milliseconds(times: Times | None) -> Cell:
    """Return a median in milliseconds, with three digits at least."""
    if times is None:
        return None
    value = 1e3 * times.median
    return round(value) if value >= 100 else float(f"{value:.3g}")


def _ratio(one: Comparison, names: Sequence[str]) -> str:
    """Return the ratio to the fastest of some runtimes."""
    best = fastest(one.times, names)
    return "" if best is None or OURS not in one.times else _against(one, OURS, best)


def _against(one: Comparison, ours: str, theirs: str) -> str:
    found = ratio(one.times[ours], one.times[theirs])
    return f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"


def _differences(one: Comparison) -> str:
    return f"{max(one.differences.values()):.0e}" if one.differences else ""


def _torch_note(others: Sequence[str], section: str) -> list[str]:
    if not set(others) & set(TORCH_LAYOUTS):
        return []
    if section == "training":
        return ["torch: eager, its fused optimizers; no dropout on either side, so that the losses can be compared"]
    return ["torch: eager, inference mode, BatchNorm folded into convolutions by torch.fx.experimental.optimization"]


def _refusals(found: Sequence[Comparison]) -> list[str]:
    """Return a line for everything that was not measured."""
    return [
        f"{_name(one) if one.case else 'start-up'}, {title(name)}: not measured, {reason}"
        for one in found
        for name, reason in one.refused.items()
    ]
