"""The audit: every documented figure against what is computed, with a verdict and its proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from archcost.errors import ArchcostError, UsageError, did_you_mean
from archcost.report.expressions import Term, evaluate
from archcost.report.figures import Check, Figure
from archcost.report.hyperparameters import HYPERPARAMETERS
from archcost.report.measures import MEASURES, Measured
from archcost.report.printed import Agreement, Value
from archcost.report.stacks import build

Verdict = Literal[
    "exact", "rounds", "truncates", "rounds up", "approximately", "bound holds", "differs", "no figure", "not a cost",
    "MISMATCH",
]  # fmt: skip

VERDICTS: dict[Verdict, str] = {
    "exact": "equal",
    "rounds": "equal when rounded to the printed digits",
    "truncates": "equal when cut off at the printed digits; the nearest would print another digit",
    "rounds up": "equal when rounded up at the printed digits; the nearest would print another digit",
    "approximately": "the source says 'about', and it is within the stated tolerance",
    "bound holds": "the source states a bound, and it holds",
    "differs": "the explanation names the count that gives the stated number, or says that none does; see its checks",
    "no figure": "the source prints no number; ours follows from what it describes",
    "not a cost": "accuracy, data, training or trained weights: nothing to compute from an architecture",
    "MISMATCH": "nothing explains it",
}
"""Verdict -> what it means."""


@dataclass(frozen=True)
class CheckResult:
    """What a check computed.

    Attributes:
        check: the check.
        model: the model that its measures refer to unless they name another.
        computed: value of its expression.
        target: id of the figure, or the value of the other expression.
        agreement: how the value agrees with the figure's number, if it does.
        holds: whether it is as the check says.
    """

    check: Check
    model: str
    computed: Value
    target: str | Value
    agreement: Agreement | None
    holds: bool


@dataclass(frozen=True)
class Result:
    """A figure, what is computed for it, and the verdict.

    Attributes:
        figure: the figure.
        computed: the computed value; empty where there is none.
        verdict: key of ``VERDICTS``.
        checks: the computations behind the explanation.
        problem: why a figure could not be computed or its explanation does not hold; empty otherwise.
    """

    figure: Figure
    computed: Value
    verdict: Verdict
    checks: tuple[CheckResult, ...] = ()
    problem: str = ""


@dataclass
class Workspace:
    """Computes the terms of expressions; every graph is built once.

    Attributes:
        figures: all figures, which ``stated:ID`` refers to.
    """

    figures: Mapping[str, Figure]
    _measured: dict[str, Measured] = field(default_factory=dict)

    def compute(self, expression: str, figure: Figure) -> Value:
        """Return what ``expression`` is worth, on the model of ``figure`` where it names no other.

        Raises:
            ArchcostError: if it cannot be computed.
        """
        return evaluate(expression, lambda term: self._term(term, figure))

    def _term(self, term: Term, figure: Figure) -> Value:
        if term.measure == "stated":
            stated = self.figure(term.argument) if term.argument else figure
            if stated.printed is None:
                raise UsageError(f"{stated.id} states no number")
            return tuple(number.value for number in stated.printed.numbers)
        if term.measure in HYPERPARAMETERS:
            return HYPERPARAMETERS[term.measure](term.argument)
        if term.measure not in MEASURES:
            raise UsageError(f"unknown measure {term.measure!r}{did_you_mean(term.measure, MEASURES)}")
        return MEASURES[term.measure](self.measured(term.model or figure.model), term.argument)

    def figure(self, name: str) -> Figure:
        """Return the figure with the id ``name``. Raises UsageError if there is none."""
        if name not in self.figures:
            raise UsageError(f"no figure {name!r}{did_you_mean(name, self.figures)}")
        return self.figures[name]

    def measured(self, spec: str) -> Measured:
        """Return the counted graph of a specification. Raises ArchcostError if it cannot be built."""
        if not spec:
            raise UsageError("the figure names no model")
        if spec not in self._measured:
            self._measured[spec] = Measured(build(spec))
        return self._measured[spec]

    def check(self, check: Check, figure: Figure) -> CheckResult:
        """Return what ``check`` computes. Raises ArchcostError if it cannot be computed."""
        computed = self.compute(check.expression, figure)
        if check.verb == "below":
            other = self.compute(check.target, figure)
            holds = len(computed) == len(other) == 1 and computed < other
            return CheckResult(check, figure.model, computed, other, None, holds)
        target = self.figure(check.target) if check.target else figure
        if target.printed is None:
            raise UsageError(f"{target.id} states no number")
        agreement = target.printed.agreement(computed)
        gives = agreement in ("exact", "rounds", "truncates")
        return CheckResult(check, figure.model, computed, target.id, agreement, gives == (check.verb == "gives"))


def judge(figure: Figure, workspace: Workspace) -> Result:
    """Return the verdict on one figure."""
    try:
        computed = workspace.compute(figure.measure, figure) if figure.is_cost else ()
        checks = tuple(workspace.check(check, figure) for check in figure.proofs)
        verdict = _verdict(figure, computed, checks)
    except ArchcostError as error:
        return Result(figure, (), "MISMATCH", problem=str(error))
    failed = next((one for one in checks if not one.holds), None)
    if failed is not None:
        problem = f"the check does not hold: {' '.join(failed.check).strip()}"
        return Result(figure, computed, "MISMATCH", checks, problem)
    if figure.because and verdict not in ("differs", "MISMATCH"):
        return Result(
            figure, computed, "MISMATCH", checks, f"it does not differ ({verdict}), though it says why it does"
        )
    problem = "no rounding gives the stated number, and no check explains it" if verdict == "MISMATCH" else ""
    return Result(figure, computed, verdict, checks, problem)


def _verdict(figure: Figure, computed: Value, checks: tuple[CheckResult, ...]) -> Verdict:
    printed = figure.printed
    if not figure.is_cost:
        return "not a cost" if figure.note else "MISMATCH"
    if printed is None:
        return "no figure"
    if printed.upper_bound:
        return "bound holds" if computed < tuple(one.value for one in printed.numbers) else "MISMATCH"
    agreement = printed.agreement(computed)
    if agreement in ("exact", "rounds"):
        return agreement
    if (agreement, printed.rounding) in (("truncates", "down"), ("rounds up", "up")) and agreement is not None:
        return agreement
    if printed.tolerance and printed.is_near(computed):
        return "approximately"
    return "differs" if figure.because and checks else "MISMATCH"


def audit(figures: Iterable[Figure], everything: Mapping[str, Figure]) -> list[Result]:
    """Return the verdict on each of ``figures``.

    Args:
        figures: those to judge.
        everything: all figures, which explanations may refer to.
    """
    workspace = Workspace(everything)
    return [judge(figure, workspace) for figure in figures]


def selected(figures: Mapping[str, Figure], source: str = "all", patterns: Iterable[str] = ()) -> list[Figure]:
    """Return the figures of a source that one of ``patterns`` matches; all of the source without patterns.

    Args:
        figures: all figures.
        source: "lecture", "papers" or "all".
        patterns: an id with ``*`` and ``?``, the name of a model, or a part of what is said about the figure.

    Raises:
        UsageError: if a pattern matches none.
    """
    chosen = [one for one in figures.values() if source == "all" or one.is_lecture == (source == "lecture")]
    patterns = list(patterns)
    for pattern in patterns:
        if not any(_matches(one, pattern) for one in chosen):
            raise UsageError(f"no figure{'' if source == 'all' else f' of the {source}'} matches {pattern!r}")
    return [one for one in chosen if not patterns or any(_matches(one, pattern) for pattern in patterns)]


def _matches(figure: Figure, pattern: str) -> bool:
    lowered = pattern.lower()
    names = (figure.id.lower(), figure.model.lower(), figure.model.lower().partition(" ")[0])
    text = f"{figure.source} {figure.subject} {figure.quantity}".lower()
    return any(fnmatchcase(name, lowered) for name in names) or lowered in text
