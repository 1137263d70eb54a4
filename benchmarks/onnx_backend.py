"""The ONNX project's own backend tests, all of them: how many are within archcost's scope, and how many pass.

    python benchmarks/onnx_backend.py [--only TEXT] [--list]

The cases come from the installed package ``onnx`` (pip install "archcost[onnx]"): node, simple, pytorch-converted,
pytorch-operator, and the nine ``light_*`` networks of its model zoo. Prints failures, the reasons of what is out of
scope, and passed / applicable / all; ends with 1 if an applicable case fails. ``--list`` names the cases out of scope.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.interop.onnx.backend import cases, out_of_scope, run


def main() -> int:
    """Run the suite and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--list", action="store_true", help="name the cases that are out of scope")
    arguments = parser.parse_args()
    reasons: dict[str, list[str]] = defaultdict(list)
    passed: Counter[str] = Counter()
    applicable: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for case in cases():
        if arguments.only not in case.name:
            continue
        total[case.kind] += 1
        reason = out_of_scope(case)
        if reason:
            reasons[reason].append(case.name)
            continue
        applicable[case.kind] += 1
        try:
            run(case)
        except Exception as error:  # noqa: BLE001  (whatever goes wrong is a failure of the case)
            print(f"FAILED {case.kind} {case.name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        else:
            passed[case.kind] += 1
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        print(f"{len(names):5} out of scope: {reason}")
        if arguments.list:
            print("      " + ", ".join(names))
    for kind in total:
        print(f"{kind:<17} {passed[kind]:4} passed, {applicable[kind]:4} applicable, {total[kind]:4} in all")
    print(f"{'together':<17} {passed.total():4} passed, {applicable.total():4} applicable, {total.total():4} in all")
    return int(passed != applicable)


if __name__ == "__main__":
    sys.exit(main())
