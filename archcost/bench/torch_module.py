"""A graph as a module of torch: straight code that ``torch.fx`` generates, as fast as a module written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archcost import ops
from archcost.errors import UsageError
from archcost.geometry import resolve
from archcost.graph import Graph, Node

IN_PLACE_AFTER = (ops.Conv2d, ops.BatchNorm2d, ops.Linear, ops.Add)
"""Operators whose output nobody needs on the way back: an activation may overwrite it, as torchvision's networks do."""


class Place:
    """A node in the module that is being built.

    Attributes:
        torch: the module torch.
        graph: our graph.
        node: the node.
        values: name of a node -> its value in the module's code.
    """

    def __init__(self, torch: Any, graph: Graph, node: Node, code: Any, values: Mapping[str, Any]) -> None:
        self.torch, self.graph, self.node, self.values = torch, graph, node, values
        self._code = code
        self.inputs = [values[name] for name in node.inputs]
        self.shapes = graph.input_shapes(node)
        self.module: Any = None

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return the value of a function of torch."""
        return self._code.call_function(function, arguments, options)

    def layer(self, module: Any) -> Any:
        """Return the value of a module of torch, which is stored under the node's name."""
        self.module = module
        return self._code.call_module(module_name(self.node.name), (self.inputs[0],))

    def in_place(self) -> bool:
        """Return whether the input may be overwritten."""
        (name,) = self.node.inputs
        readers = [other for other in self.graph if name in other.inputs]
        return len(readers) == 1 and isinstance(self.graph.node(name).op, IN_PLACE_AFTER)

    def padded(self, value: float = 0.0) -> tuple[Any, tuple[int, int]]:
        """Return the input and the padding that is left to the operator: torch pads both sides of an axis alike."""
        op: Any = self.node.op
        dilation = getattr(op, "dilation", (1, 1))
        (top, bottom), (left, right) = resolve(op.padding, self.shapes[0][1:], op.kernel_size, op.stride, dilation)
        if top == bottom and left == right:
            return self.inputs[0], (top, left)
        pads = (left, right, top, bottom)
        return self.call(self.torch.nn.functional.pad, self.inputs[0], pads, value=value), (0, 0)


def module_name(node: str) -> str:
    """Return what a node's module is called: a flat name, since a scope may have the name of an operator in it."""
    return "layer_" + node.replace(".", "_dot_").replace("-", "_minus_")


def torch_module(torch: Any, graph: Graph, arrays: Mapping[str, Any], *, scores: bool = False) -> Any:
    """Return a module that computes what ``graph`` describes: (N, C, H, W) -> its first output.

    Args:
        torch: the module torch.
        graph: the network; it has one input.
        arrays: name of a parameter or buffer -> its values, asked for one at a time.
        scores: leave out a final softmax, which torch's loss holds.

    Raises:
        UsageError: for an operator without a rule here.
    """
    code = torch.fx.Graph()
    values: dict[str, Any] = {}
    root = torch.nn.Module()
    for node in graph:
        if isinstance(node.op, ops.Input):
            values[node.name] = code.placeholder("images")
            continue
        rule = RULES.get(type(node.op))
        if rule is None or node.shares is not None:
            raise UsageError(f"{graph.name}: {node.name}: {type(node.op).__name__} has no equivalent in torch here")
        place = Place(torch, graph, node, code, values)
        values[node.name] = rule(place, node.op)
        if place.module is not None:
            root.add_module(module_name(node.name), place.module)
            _fill(torch, place.module, node, graph, arrays)
    last = graph.node(graph.outputs[0])
    code.output(values[last.inputs[0] if scores and isinstance(last.op, ops.Softmax) else last.name])
    module = torch.fx.GraphModule(root, code)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _fill(torch: Any, module: Any, node: Node, graph: Graph, arrays: Mapping[str, Any]) -> None:
    """Copy the values of a node's parameters and buffers into its module."""
    stored = dict(module.named_parameters()) | dict(module.named_buffers())
    wanted = [*graph.params(node), *node.op.buffers(*graph.input_shapes(node))]
    with torch.no_grad():
        for name in wanted:
            if name in stored:
                values = torch.from_numpy(arrays[f"{node.name}.{name}"])
                stored[name].copy_(values.reshape(stored[name].shape))


def _conv(place: Place, op: Any) -> Any:
    value, padding = place.padded()
    place.inputs[0] = value
    module = place.torch.nn.Conv2d(
        place.shapes[0][0], op.out_channels, op.kernel_size, op.stride, padding, op.dilation, op.groups, op.bias
    )
    return place.layer(module)


def _linear(place: Place, op: Any) -> Any:
    return place.layer(place.torch.nn.Linear(place.shapes[0][-1], op.out_features, op.bias))


def _batch_norm(place: Place, op: Any) -> Any:
    return place.layer(place.torch.nn.BatchNorm2d(place.shapes[0][0], op.eps, op.momentum, op.affine))


def _response_norm(place: Place, op: Any) -> Any:
    return place.layer(place.torch.nn.LocalResponseNorm(op.size, op.alpha, op.beta, op.k))


def _max_pool(place: Place, op: Any) -> Any:
    value, padding = place.padded(float("-inf"))
    function = place.torch.nn.functional.max_pool2d
    return place.call(function, value, op.kernel_size, op.stride, padding, ceil_mode=op.ceil_mode)


def _avg_pool(place: Place, op: Any) -> Any:
    value, padding = place.padded()
    if value is not place.inputs[0] and not op.count_include_pad:
        raise UsageError(f"{place.node.name}: torch cannot leave out padding that differs from side to side")
    function = place.torch.nn.functional.avg_pool2d
    return place.call(function, value, op.kernel_size, op.stride, padding, op.ceil_mode, op.count_include_pad)


def _global_pool(place: Place, op: Any) -> Any:
    pooled = place.call(place.torch.nn.functional.adaptive_avg_pool2d, place.inputs[0], 1)
    return pooled if op.keep_axes else place.call(place.torch.flatten, pooled, 1)


def _adaptive_pool(place: Place, op: Any) -> Any:
    return place.call(place.torch.nn.functional.adaptive_avg_pool2d, place.inputs[0], op.output_size)


def _activation(name: str, *, in_place: bool) -> Callable[[Place, Any], Any]:
    """Return the rule of an activation that ``torch.nn.functional`` has."""

    def rule(place: Place, _: Any) -> Any:
        options = {"inplace": True} if in_place and place.in_place() else {}
        return place.call(getattr(place.torch.nn.functional, name), place.inputs[0], **options)

    return rule


def _hard_sigmoid(place: Place, op: Any) -> Any:
    if (op.slope, op.offset) != (1 / 6, 0.5):
        raise UsageError(f"{place.node.name}: torch's hard sigmoid has a slope of 1/6")
    return place.call(place.torch.nn.functional.hardsigmoid, place.inputs[0])


def _softmax(place: Place, op: Any) -> Any:
    return place.call(place.torch.softmax, place.inputs[0], _axis(op.axis))


def _identity(place: Place, _: Any) -> Any:
    return place.inputs[0]


def _dropout(place: Place, op: Any) -> Any:
    return place.layer(place.torch.nn.Dropout(op.rate)) if op.rate else place.inputs[0]


def _chain(name: str) -> Callable[[Place, Any], Any]:
    """Return the rule of an operator that joins two values, for any number of them."""

    def rule(place: Place, _: Any) -> Any:
        total = place.inputs[0]
        for other in place.inputs[1:]:
            total = place.call(getattr(place.torch, name), total, other)
        return total

    return rule


def _concat(place: Place, op: Any) -> Any:
    return place.call(place.torch.cat, place.inputs, _axis(op.axis))


def _split(place: Place, op: Any) -> Any:
    return place.call(
        place.torch.narrow, place.inputs[0], _axis(op.axis), sum(op.sections[: op.index]), op.sections[op.index]
    )


def _shuffle(place: Place, op: Any) -> Any:
    return place.call(place.torch.channel_shuffle, place.inputs[0], op.groups)


def _flatten(place: Place, _: Any) -> Any:
    return place.call(place.torch.flatten, place.inputs[0], 1)


def _axis(axis: int) -> int:
    """Return an axis of ours in torch's count, where the batch comes first."""
    return axis + 1 if axis >= 0 else axis


RULES: dict[type[ops.Op], Callable[[Place, Any], Any]] = {
    ops.Conv2d: _conv,
    ops.Linear: _linear,
    ops.BatchNorm2d: _batch_norm,
    ops.LocalResponseNorm: _response_norm,
    ops.MaxPool2d: _max_pool,
    ops.AvgPool2d: _avg_pool,
    ops.GlobalAvgPool: _global_pool,
    ops.AdaptiveAvgPool2d: _adaptive_pool,
    ops.ReLU: _activation("relu", in_place=True),
    ops.ReLU6: _activation("relu6", in_place=True),
    ops.SiLU: _activation("silu", in_place=False),
    ops.HardSwish: _activation("hardswish", in_place=False),
    ops.Sigmoid: _activation("sigmoid", in_place=False),
    ops.Tanh: _activation("tanh", in_place=False),
    ops.HardSigmoid: _hard_sigmoid,
    ops.Softmax: _softmax,
    ops.Dropout: _dropout,
    ops.DropPath: _identity,
    ops.Identity: _identity,
    ops.Add: _chain("add"),
    ops.Mul: _chain("mul"),
    ops.Concat: _concat,
    ops.Split: _split,
    ops.ChannelShuffle: _shuffle,
    ops.Flatten: _flatten,
}
"""Operator -> what writes it. DropPath is the identity in inference, and training is measured without it."""
