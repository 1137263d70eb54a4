"""A network as an ONNX file: every operator of ours as the ONNX nodes that compute the same.

The batch is the first axis of every tensor and is called ``N``. What is learned, and the running statistics, are
initializers named as in the framework's state dict; numbers that are not learned are Constant nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archcost.errors import UsageError
from archcost.files import write_parts, write_whole
from archcost.graph import Graph, Node
from archcost.interop.onnx import writing_elementwise as elementwise
from archcost.interop.onnx import writing_layers as layers
from archcost.interop.onnx import writing_moves as moves
from archcost.interop.onnx import writing_norms as norms
from archcost.interop.onnx import writing_pools as pools
from archcost.interop.onnx.writing_place import NEEDED, Model, Place
from archcost.ops import Input
from archcost.ops.constant import Stored

if TYPE_CHECKING:
    import numpy.typing as npt

OLDEST, DEFAULT = 13, 20
"""Versions of the operators (opset): the oldest that is written, and the one that is written unless asked otherwise."""

BATCH = "N"
"""Name of the batch's size, which is open."""


def _plain(kind: str) -> Callable[[Place, Any], None]:
    """Return the rule of an operator that ONNX has under ``kind``, without attributes."""
    return lambda place, _: place.end(kind)


RULES: dict[str, Callable[[Place, Any], None]] = {
    "Conv2d": layers.conv,
    "Conv3d": layers.conv,
    "ConvTranspose2d": layers.conv_transpose2d,
    "PartialConv2d": layers.partial_conv2d,
    "Linear": layers.linear,
    "RadialBasis": layers.radial_basis,
    "MatMul": _plain("MatMul"),
    "MaxPool2d": pools.max_pool,
    "MaxPool3d": pools.max_pool,
    "AvgPool2d": pools.avg_pool,
    "AvgPool3d": pools.avg_pool,
    "LpPool2d": pools.lp_pool2d,
    "GlobalAvgPool": pools.global_pool,
    "GlobalMaxPool": pools.global_pool,
    "AdaptiveAvgPool2d": pools.adaptive_avg_pool2d,
    "SubsamplingPool2d": pools.subsampling_pool2d,
    "ReduceMean": pools.reduction,
    "ReduceSum": pools.reduction,
    "ReduceMax": pools.reduction,
    "ReduceMin": pools.reduction,
    "BatchNorm2d": norms.batch_norm2d,
    "LayerNorm": norms.layer_norm,
    "InstanceNorm": norms.instance_norm,
    "LocalResponseNorm": norms.local_response_norm,
    "Scale": norms.scale,
    "ConstantScale": elementwise.constant_scale,
    "ReLU": _plain("Relu"),
    "ReLU6": elementwise.relu6,
    "LeakyReLU": elementwise.leaky_relu,
    "PReLU": elementwise.prelu,
    "ELU": elementwise.exponential,
    "CELU": elementwise.exponential,
    "SELU": elementwise.selu,
    "Clip": elementwise.clip,
    "Sigmoid": _plain("Sigmoid"),
    "HardSigmoid": elementwise.hard_sigmoid,
    "SiLU": elementwise.silu,
    "HardSwish": elementwise.hard_swish,
    "GELU": elementwise.gelu,
    "Mish": elementwise.mish,
    "Softplus": _plain("Softplus"),
    "Softsign": _plain("Softsign"),
    "Tanh": _plain("Tanh"),
    "ScaledTanh": elementwise.scaled_tanh,
    "Softmax": elementwise.softmax,
    "LogSoftmax": elementwise.softmax,
    "Exp": _plain("Exp"),
    "Log": _plain("Log"),
    "Sqrt": _plain("Sqrt"),
    "Erf": _plain("Erf"),
    "Abs": _plain("Abs"),
    "Neg": _plain("Neg"),
    "Dropout": elementwise.dropout,
    "DropPath": elementwise.identity,
    "Add": elementwise.many("Add", "Sum"),
    "Mul": elementwise.mul,
    "Sub": _plain("Sub"),
    "Div": _plain("Div"),
    "Pow": _plain("Pow"),
    "Minimum": elementwise.many("Min", "Min"),
    "Maximum": elementwise.many("Max", "Max"),
    "Mean": elementwise.many("Mean", "Mean"),
    "Concat": moves.concat,
    "Split": moves.split,
    "ChannelShuffle": moves.channel_shuffle,
    "Transpose": moves.transpose,
    "Flatten": moves.flatten,
    "Reshape": moves.reshape,
    "Pad": moves.pad,
    "Slice": moves.cut,
    "Gather": moves.gather,
    "Expand": moves.expand,
    "DepthToSpace": moves.depth_to_space,
    "SpaceToDepth": moves.space_to_depth,
    "Resize": moves.resize,
    "Identity": elementwise.identity,
    "Parameter": moves.parameter,
    "Constant": moves.constant,
}
"""Operator -> what writes it."""

NOT_WRITTEN = {
    "Quantize": "its scale and zero point are not kept",
    "Dequantize": "its scale and zero point are not kept",
    "Unknown": "archcost does not know what it computes",
}
"""Operator -> why it cannot be written."""

BROADCASTING = {"Add", "Mul", "Sub", "Div", "Pow", "Minimum", "Maximum", "Mean", "MatMul"}
"""Operators that may read a value that is alike for all images: the result is the same as if it were repeated."""

LARGEST_MESSAGE = 2**31 - 2**24
"""Bytes of elements that go into the file itself; ONNX's own format ends at 2 GiB, with the rest of the network."""


def write_onnx(
    path: Path,
    graph: Graph,
    arrays: Mapping[str, npt.NDArray[Any]],
    opset: int = DEFAULT,
    largest: int = LARGEST_MESSAGE,
) -> None:
    """Write a network as an ONNX file; elements that are too many for one file go to ``NAME.data`` beside it.

    Args:
        path: the file.
        graph: the network.
        arrays: parameters and buffers by name (``layer1.0.conv1.weight``).
        opset: version of the ONNX operators.
        largest: bytes of elements that the file itself may hold.

    Raises:
        UsageError: as ``written`` does, or if the file cannot be written.
    """
    model = written(graph, arrays, opset)
    data = f"{path.name}.data" if sum(array.nbytes for array in model.initializers.values()) > largest else ""
    content = proto(model, data).SerializeToString()
    if data:
        write_parts(path.with_name(data), (little_endian(array) for array in model.initializers.values()))
    write_whole(path, content)


def written(graph: Graph, arrays: Mapping[str, npt.NDArray[Any]], opset: int = DEFAULT) -> Model:
    """Return the ONNX nodes and initializers of a network.

    Raises:
        UsageError: if the onnx library is not there or does not know the version, or an operator cannot be written.
    """
    try:
        from onnx.defs import onnx_opset_version
    except ImportError:
        raise UsageError(NEEDED) from None
    newest = onnx_opset_version()
    if not OLDEST <= opset <= newest:
        raise UsageError(f"`--opset` (={opset}) must be from {OLDEST} to {newest}, the newest that onnx here knows")
    model = Model(graph, arrays, opset)
    for node in graph:
        if not isinstance(node.op, Input):
            _write(model, node)
    return model


def _write(model: Model, node: Node) -> None:
    kind = type(node.op).__name__
    if kind in NOT_WRITTEN:
        raise UsageError(
            f"{node.name}: {node.op.label(*model.graph.input_shapes(node))} cannot be written, {NOT_WRITTEN[kind]}"
        )
    shapes = model.graph.input_shapes(node)
    place = Place(model, node, node.inputs, shapes)
    alike = [name in model.alike for name in node.inputs]
    if isinstance(node.op, Stored):
        model.alike.add(node.name)
    elif any(alike):
        if all(alike) and kind in BROADCASTING:
            model.alike.add(node.name)
        elif kind not in BROADCASTING:
            repeated = [
                place.for_each_image(name, shape) if name in model.alike else name
                for name, shape in zip(node.inputs, shapes)
            ]
            place = Place(model, node, tuple(repeated), shapes)
    RULES[kind](place, node.op)


def proto(model: Model, data: str = "") -> Any:
    """Return ONNX's record of what has been written.

    Args:
        model: the nodes and initializers.
        data: name of the file beside the network's that holds the elements; empty: they are part of the record.
    """
    from onnx import TensorProto, helper, numpy_helper

    def described(name: str, value: str) -> Any:
        batch = 1 if value in model.alike else BATCH
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *model.graph.shapes[value]])

    outputs = [described(_output(model, name, index), name) for index, name in enumerate(model.graph.outputs)]
    inputs = [described(node.name, node.name) for node in model.graph.inputs]
    outer = {value.name for value in (*inputs, *outputs)}
    tensors, offset = [], 0
    for name, array in model.initializers.items():
        if data:
            tensors.append(_outside(name, array, data, offset))
            offset += array.nbytes
        else:
            tensors.append(numpy_helper.from_array(array, name))
    between = [described(node.name, node.name) for node in model.graph if node.name not in outer]
    graph = helper.make_graph(model.nodes, model.graph.name, inputs, outputs, tensors, value_info=between)
    versions = [helper.make_opsetid("", model.opset)]
    return helper.make_model(
        graph,
        opset_imports=versions,
        ir_version=helper.find_min_ir_version_for(versions),
        producer_name="archcost",
        doc_string=model.graph.title,
    )


def _output(model: Model, name: str, index: int) -> str:
    """Return the value that is an output of the network: one of its own for an input, a repetition or a constant."""
    node = model.graph.node(name)
    if name in model.alike:
        return Place(model, node, (), ()).for_each_image(name, model.graph.shapes[name])
    if name in model.graph.outputs[:index] or isinstance(node.op, Input):
        copy = model.fresh(f"{name}_output")
        model.add("Identity", [name], [copy])
        return copy
    return name


def _outside(name: str, array: npt.NDArray[Any], data: str, offset: int) -> Any:
    """Return the record of an initializer whose elements lie in another file."""
    from onnx import TensorProto

    tensor = TensorProto(name=name, dims=array.shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", data), ("offset", offset), ("length", array.nbytes)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    return tensor


def little_endian(array: npt.NDArray[Any]) -> bytes:
    """Return the elements of an array as ONNX stores them."""
    return array.astype("<f4", copy=False).tobytes()
