"""ONNX Runtime and OpenVINO, each in its best setting for one batch at a time, on the file that archcost exports."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from archcost.bench.cases import Case
from archcost.bench.prepared import ONNX, Array, inputs
from archcost.interop.onnx.writing import BATCH


def onnx_runtime(case: Case, folder: Path, threads: int) -> Callable[[], Array]:
    """Return what runs the network in ONNX Runtime: all its optimisations, its threads spinning as by default.

    The size of the batch is fixed, which lets it plan memory and fold shapes.
    """
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_free_dimension_override_by_name(BATCH, case.batch)
    session = runtime.InferenceSession(str(folder / ONNX), options, providers=["CPUExecutionProvider"])
    name, images = session.get_inputs()[0].name, inputs(folder)[0][0]

    def run() -> Array:
        outputs: list[Array] = session.run(None, {name: images})
        return outputs[0]

    return run


def openvino(_: Case, folder: Path, threads: int) -> Callable[[], Array]:
    """Return what runs the network in OpenVINO: for latency, in one stream, float32, with a fixed batch."""
    runtime: Any = import_module("openvino")
    core = runtime.Core()
    model = core.read_model(folder / ONNX)
    images = inputs(folder)[0][0]
    model.reshape(list(images.shape))
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run() -> Array:
        request.infer([images], share_inputs=True, share_outputs=True)
        output: Array = request.get_output_tensor(0).data
        return output

    return run
