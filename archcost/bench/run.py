"""A whole run: which sections, which cases, which runtimes; and what is kept of one that was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from archcost.bench.cases import (
    MEMORY_MODELS,
    QUICK_MEMORY_MODELS,
    TRAINING,
    Case,
    inference_cases,
)
from archcost.bench.client import RuntimeFailedError
from archcost.bench.machine import described
from archcost.bench.measuring import Measuring, memory, startup
from archcost.bench.peers import COUNTERS, OURS, available, missing
from archcost.bench.results import Comparison, Results
from archcost.errors import UsageError


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        sections: names of ``cases.SECTIONS``.
        models: networks of inference.
        training: training steps.
        batches: sizes of a batch of inference.
        memory: networks whose memory is measured.
        runtimes: names of ``peers.RUNTIMES``; those that are not installed are named and left out.
        threads: how many compute.
        rounds: phases of each runtime.
        seconds: length of a phase.
    """

    sections: Sequence[str]
    models: Sequence[str]
    training: Sequence[Case]
    batches: Sequence[int]
    memory: Sequence[str]
    runtimes: Sequence[str]
    threads: int
    rounds: int
    seconds: float

    def cases(self) -> list[tuple[str, Case | None]]:
        """Return every comparison that the plan holds: its section and case."""
        found: list[tuple[str, Case | None]] = []
        if "inference" in self.sections:
            found += [("inference", case) for case in inference_cases(self.models, self.batches)]
        if "training" in self.sections:
            found += [("training", case) for case in self.training]
        if "startup" in self.sections:
            found.append(("startup", None))
        if "memory" in self.sections:
            found += [("memory", case) for case in inference_cases(self.memory, self.batches)]
            found += [("memory", case) for case in self.training if case in TRAINING[2:]]
        return found


def memory_models(models: Sequence[str] | None, *, quick: bool) -> list[str]:
    """Return the networks whose memory is measured: those that were named, or a few."""
    return list(models if models is not None else QUICK_MEMORY_MODELS if quick else MEMORY_MODELS)


def run(
    plan: Plan,
    say: Callable[[str], None] = lambda _: None,
    *,
    keep: Path | None = None,
    resume: bool = False,
) -> Results:
    """Measure what a plan holds.

    Args:
        plan: what to measure.
        say: gets a line before each comparison.
        keep: file that holds the results so far after each comparison.
        resume: take over what ``keep`` holds already, if it was measured with the same threads.

    Raises:
        UsageError: if a network cannot be run at all, or ``keep`` cannot be read or written.
    """
    counters = list(COUNTERS) if len(plan.runtimes) > 1 else []
    asked = [*plan.runtimes, *(counters if "startup" in plan.sections else [])]
    note = missing(asked)
    results = Results(described(plan.threads), plan.rounds, plan.seconds, [note] if note else [])
    if note:
        say(note)
    if resume and keep is not None and keep.exists():
        results.comparisons = _taken_over(Results.read(keep), plan)
    names = available(plan.runtimes)
    cases = plan.cases()
    with Measuring(names, plan.threads, plan.rounds, plan.seconds) as measuring:
        for number, (section, case) in enumerate(cases, 1):
            if any(one.is_of(section, case) for one in results.comparisons):
                continue
            what = section if case is None else f"{section}: {case.model}, batch of {case.batch}"
            say(f"{number} of {len(cases)}: {what}")
            results.comparisons.append(_compared(plan, measuring, section, case, names, available(counters)))
            if keep is not None:
                results.write(keep)
    return results


def _taken_over(before: Results, plan: Plan) -> list[Comparison]:
    """Return the comparisons of an earlier run that this one need not repeat."""
    if before.machine.threads != plan.threads:
        raise UsageError(f"`--resume`: the results are of {before.machine.threads} threads, not {plan.threads}")
    return before.comparisons


def _compared(
    plan: Plan,
    measuring: Measuring,
    section: str,
    case: Case | None,
    runtimes: Sequence[str],
    counters: Sequence[str],
) -> Comparison:
    """Measure one comparison. Raises UsageError if archcost itself fails: there is nothing to compare with."""
    try:
        if case is None:
            return startup(counters, plan.rounds)
        found = memory(case, runtimes, plan.threads) if section == "memory" else measuring.speed(case)
    except RuntimeFailedError as error:
        raise UsageError(f"the measurement broke off: {error}") from None
    if OURS in found.refused:
        raise UsageError(f"{case.model}, batch of {case.batch}: {found.refused[OURS]}")
    return found
