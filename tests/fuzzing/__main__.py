"""The command line of the fuzzer: see the package's text."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzzing import __doc__ as text
from tests.fuzzing.running import MEMORY_LIMIT, fuzz, peak_memory
from tests.fuzzing.seeds import SEEDS


def main() -> int:
    """Fuzz, and end with 1 if a case failed or the memory grew beyond the limit."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(SEEDS))
    parser.add_argument("--keep", type=Path, help="folder for the files that fail")
    parser.add_argument("--show", type=int, default=5, help="failures to print in full")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(
            arguments.cases,
            Path(folder),
            seed=arguments.seed,
            kinds=tuple(arguments.kinds.split(",")),
            seconds=arguments.seconds,
            keep=arguments.keep,
        )
    for (kind, outcome), count in sorted(report.outcomes.items()):
        sys.stdout.write(f"{kind:12} {outcome:8} {count}\n")
    sys.stdout.write("\n".join(report.failures[: arguments.show]) + "\n" if report.failures else "")
    slowest, label = report.slowest
    peak = peak_memory()
    sys.stdout.write(
        f"{report.cases} cases, {len(report.failures)} failures; slowest {slowest:.2f} s ({label}); "
        f"{report.out_of_memory} refused for memory; peak memory {peak / 2**20:.0f} MiB\n"
    )
    return 1 if report.failures or peak > MEMORY_LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
