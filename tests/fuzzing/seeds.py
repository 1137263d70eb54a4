"""Whole files of every kind, as bytes: what mutations start from. All are made here, alike in every run."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from archcost import Builder, Graph, Sequential
from archcost.interop.npz import npz_content
from archcost.interop.state import State
from archcost.ops import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Gather,
    GlobalAvgPool,
    LayerNorm,
    Linear,
    MaxPool2d,
    Mul,
    Pad,
    Parameter,
    ReduceMean,
    ReLU,
    Reshape,
    Resize,
    Sigmoid,
    Slice,
    Softmax,
    Split,
    Transpose,
)


def plain() -> Graph:
    """Return a small network in a row; its weights are those of the files of weights."""
    layers = [Conv2d(4, 3, 2, 1), BatchNorm2d(), ReLU(), MaxPool2d(2), Flatten(), Dropout(), Linear(5), Softmax()]
    return Sequential(layers, (3, 8, 8), "plain")


def branched() -> Graph:
    """Return a network with a residual connection, a gate, a cut and scopes."""
    net = Builder("branched")
    x = net.input((4, 8, 8))
    with net.scope("block", "Block"):
        y = net(Conv2d(4, 3, padding=1, groups=2), x, name="conv")
        gate = net(Sigmoid(), net(Conv2d(4, 1), net(GlobalAvgPool(), y)))
        y = net(Add(), x, net(Mul(), y, gate))
    left, right = (net(Split((1, 3), index), y) for index in (0, 1))
    z = net(Concat(), right, left, net(Parameter((2, 8, 8)), name="learned"))
    z = net(Pad(((0, 0), (1, 2), (0, 0)), "reflect"), net(AvgPool2d(3, 1, 1), z))
    return net.build(net(Linear(3), net(GlobalAvgPool(keep_axes=False), z)), z)


def moved() -> Graph:
    """Return a network that rearranges its tensors."""
    layers = [
        ConvTranspose2d(6, 2, 2), Transpose((1, 2, 0)), LayerNorm(), Linear(4), Transpose((2, 0, 1)),
        Slice(1, 0, None, 2), Resize((5, 7), "linear"), AdaptiveAvgPool2d((2, 3)), Reshape((4, -1)),
        Gather(1, (0, 2, 5), (3,)), ReduceMean((0,), keep_axes=False),
    ]  # fmt: skip
    return Sequential(layers, (3, 4, 5), "moved")


GRAPHS = (plain, branched, moved)


def onnx_files() -> list[bytes]:
    """Return networks as ONNX, and one with arithmetic of shapes as exporters write it."""
    from archcost.interop.onnx.writing import proto, written

    models = [proto(written(graph, State(graph).arrays)) for graph in (make() for make in GRAPHS)]
    return [*(model.SerializeToString() for model in models), _exported()]


def _exported() -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    node, integers = helper.make_node, np.array([-1], np.int64)
    nodes = [
        node("Conv", ["x", "weight"], ["c"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Shape", ["c"], ["s"]),
        node("Gather", ["s", "zero"], ["batch"], axis=0),
        node("Unsqueeze", ["batch", "axes"], ["one"]),
        node("Concat", ["one", "rest"], ["sizes"], axis=0),
        node("Reshape", ["c", "sizes"], ["flat"]),
        node("Gemm", ["flat", "matrix"], ["y"], "fc", transB=1),
    ]
    tensors = {
        "weight": np.ones((2, 3, 3, 3), np.float32),
        "zero": np.array(0, np.int64),
        "axes": np.array([0], np.int64),
        "rest": integers,
        "matrix": np.ones((4, 32), np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "exported",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    content: bytes = model.SerializeToString()
    return content


def json_files() -> list[bytes]:
    """Return graphs in our own format."""
    return [make().to_json().encode() for make in GRAPHS]


def npz_files() -> list[bytes]:
    """Return weights of the plain network as NumPy's archive, compressed too."""
    arrays = State(plain()).arrays
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    return [bytes(npz_content(arrays)), packed.getvalue()]


def safetensors_files() -> list[bytes]:
    """Return weights of the plain network, and one tensor of bfloat16, by the format's own description."""
    header: dict[str, Any] = {}
    content = b""
    for name, array in State(plain()).arrays.items():
        kind = {"float32": "F32", "int64": "I64"}[array.dtype.name]
        header[name] = {
            "dtype": kind,
            "shape": array.shape,
            "data_offsets": [len(content), len(content) + array.nbytes],
        }
        content += array.tobytes()
    brain = {"6.bias": {"dtype": "BF16", "shape": [5], "data_offsets": [0, 10]}}
    return [_safetensors(header, content), _safetensors(brain, bytes(10))]


def _safetensors(header: dict[str, Any], content: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def idx_files() -> list[bytes]:
    """Return images in MNIST's format, plain and gzipped."""
    images = np.random.default_rng(0).integers(0, 256, (5, 7, 6), np.uint8)
    content = struct.pack(">HBB3I", 0, 8, 3, *images.shape) + images.tobytes()
    return [content, gzip.compress(content, mtime=0)]


def image_files() -> list[bytes]:
    """Return pictures in the formats that people have, as Pillow writes them."""
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (23, 31, 3), np.uint8)
    files = []
    ways = (("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("GIF", "P"), ("BMP", "L"),
            ("TIFF", "RGB"), ("WEBP", "RGB"), ("PPM", "RGB"), ("TGA", "RGB"), ("ICO", "RGBA"))  # fmt: skip
    for kind, mode in ways:
        file = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(file, kind)
        files.append(file.getvalue())
    return files


SEEDS: dict[str, tuple[str, Callable[[], list[bytes]]]] = {
    "onnx": (".onnx", onnx_files),
    "json": (".json", json_files),
    "npz": (".npz", npz_files),
    "safetensors": (".safetensors", safetensors_files),
    "idx": (".idx", idx_files),
    "image": (".png", image_files),
}
"""Kind -> (suffix, what makes its files)."""
