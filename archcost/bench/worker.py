"""The process of one runtime: reads requests from stdin, a JSON object a line, and answers each with one.

    python -m archcost.bench.worker RUNTIME

A request holds ``do`` and its arguments:

- ``import``: import the runtime.
- ``open``: make a case ready to run and run it once; the answer holds the seconds of both.
- ``results``: run it ``count`` times; the outputs go to ``file``, the losses of training into the answer.
- ``phase``: run it for about ``seconds``.
- ``peak``: bytes of resident memory above those after the import.
- ``close``: drop it.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from archcost.bench.cases import Case
from archcost.bench.peers import OURS
from archcost.bench.resident import Peak
from archcost.bench.timing import phase

LEARNING_RATES = {"adam": 1e-4, "momentum": 1e-3}


class Worker:
    """What answers requests.

    Args:
        runtime: a name of ``peers.RUNTIMES``.
    """

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._run: Callable[[], Any] | None = None
        self._peak: Peak | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        request = dict(request)
        answer: dict[str, Any] = getattr(self, f"do_{request.pop('do')}")(**request)
        return answer

    def do_import(self) -> dict[str, Any]:
        """Import the runtime, and remember the memory that the process has then."""
        openers(self._runtime)
        gc.collect()
        self._peak = Peak()
        return {}

    def do_open(self, case: dict[str, Any], folder: str, threads: int) -> dict[str, Any]:
        """Make a case ready, and run it once."""
        inference, training = openers(self._runtime)
        opened = Case(**case)
        start = time.perf_counter()
        if opened.optimizer:
            self._run = training(opened, Path(folder), threads, LEARNING_RATES[opened.optimizer])
        else:
            self._run = inference(opened, Path(folder), threads)
        ready = time.perf_counter()
        result = self._run()
        end = time.perf_counter()
        loss = float(result) if opened.optimizer else None
        return {"ready": ready - start, "first": end - ready, "loss": loss}

    def do_results(self, count: int, file: str = "") -> dict[str, Any]:
        """Run it, and hand out what it computes."""
        assert self._run is not None
        found = [self._run() for _ in range(count)]
        if not file:
            return {"losses": found}
        import numpy as np

        np.save(file, found[-1], allow_pickle=False)
        return {}

    def do_phase(self, seconds: float) -> dict[str, Any]:
        """Run it for a while."""
        assert self._run is not None
        return dict(phase(self._run, seconds)._asdict())

    def do_peak(self) -> dict[str, Any]:
        """Tell the memory that all since the import took at its peak."""
        return {"bytes": self._peak.above() if self._peak else None}

    def do_close(self) -> dict[str, Any]:
        """Drop what is open, before the next one."""
        self._run = None
        gc.collect()
        return {}


def openers(runtime: str) -> tuple[Callable[..., Callable[[], Any]], Callable[..., Callable[[], Any]]]:
    """Import a runtime, and return what opens a case of inference and one of training."""
    if runtime == OURS:
        from archcost.bench import runtime_archcost

        return runtime_archcost.inference, runtime_archcost.training
    if runtime.startswith("torch"):
        from archcost.bench import runtime_torch

        runtime_torch.imported()
        last = runtime == "torch-last"
        return partial(runtime_torch.inference, channels_last=last), partial(runtime_torch.training, channels_last=last)
    from importlib import import_module

    from archcost.bench import runtime_onnx

    import_module(runtime)
    return (runtime_onnx.openvino if runtime == "openvino" else runtime_onnx.onnx_runtime), _no_training


def _no_training(*_: object) -> Callable[[], Any]:
    raise NotImplementedError("this runtime trains nothing")


def serve(runtime: str) -> None:
    """Answer requests until stdin ends.

    The answers have a stream of their own: what a library prints on stdout goes to stderr.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(runtime)
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  (a runtime's errors are its own; the other runtimes go on)
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    try:
        serve(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
