"""What a run has found, as values that a file can hold: the tables are made from these alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from archcost.bench.cases import Case
from archcost.bench.machine import Machine
from archcost.bench.rounds import Times
from archcost.errors import UsageError
from archcost.files import write_whole

SCHEMA = "archcost.bench/1"


@dataclass
class Comparison:
    """What was measured of one case, or of one command (start-up).

    Attributes:
        section: inference, training, startup or memory.
        case: the network and what is done with it; None for start-up.
        times: runtime or command -> its rounds.
        differences: runtime -> largest difference of its outputs (of its losses, in training) from archcost's, over the
            largest.
        refused: runtime -> why it was not measured.
        peaks: runtime -> bytes of resident memory at the peak, above the process that has imported it.
        firsts: runtime -> seconds from the network's name or file to its first outputs, after the imports.
    """

    section: str
    case: Case | None = None
    times: dict[str, Times] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    peaks: dict[str, int | None] = field(default_factory=dict)
    firsts: dict[str, float] = field(default_factory=dict)

    def is_of(self, section: str, case: Case | None) -> bool:
        """Return whether this is the comparison of a case."""
        return (self.section, self.case) == (section, case)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "section": self.section,
            "case": None if self.case is None else self.case.as_dict(),
            "times": {name: dict(times._asdict()) for name, times in self.times.items()},
            "differences": self.differences,
            "refused": self.refused,
            "peaks": self.peaks,
            "firsts": self.firsts,
        }

    @classmethod
    def of_dict(cls, data: Mapping[str, Any]) -> Comparison:
        """Return what ``as_dict`` described."""
        case = data["case"] and Case(**data["case"])
        times = {name: Times(**{**found, "rounds": tuple(found["rounds"])}) for name, found in data["times"].items()}
        rest = {name: dict(data[name]) for name in ("differences", "refused", "peaks", "firsts")}
        return cls(data["section"], case, times, **rest)


@dataclass
class Results:
    """A run.

    Attributes:
        machine: where and with what it ran.
        rounds: phases of each runtime.
        seconds: length of a phase.
        notes: what was not measured at all, and why.
        comparisons: in the order in which they were made.
    """

    machine: Machine
    rounds: int
    seconds: float
    notes: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    def of(self, section: str) -> list[Comparison]:
        """Return the comparisons of a section."""
        return [one for one in self.comparisons if one.section == section]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values: the schema ``archcost.bench/1``, in seconds and bytes."""
        return {
            "schema": SCHEMA,
            "machine": self.machine.as_dict(),
            "rounds": self.rounds,
            "seconds": self.seconds,
            "notes": self.notes,
            "comparisons": [one.as_dict() for one in self.comparisons],
        }

    def write(self, path: Path) -> None:
        """Write it to a file, whole or not at all."""
        write_whole(path, json.dumps(self.as_dict(), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Return what ``write`` wrote.

        Raises:
            UsageError: if there is no such file, or it holds something else.
        """
        try:
            data = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
            if data["schema"] != SCHEMA:
                raise UsageError(f"cannot read {str(path)!r}: its schema is {data['schema']!r}, not {SCHEMA!r}")
            comparisons = [Comparison.of_dict(one) for one in data["comparisons"]]
            machine = Machine(**data["machine"])
            return cls(machine, int(data["rounds"]), float(data["seconds"]), list(data["notes"]), comparisons)
        except OSError as error:
            raise UsageError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise UsageError(f"cannot read {str(path)!r}: it is no result of `archcost bench --json`") from None
