"""Two ways to write a graph: a builder that reads like the paper, and a plain list of operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from archcost.geometry import Shape
from archcost.graph import Call, Graph, Node, infer
from archcost.ops.base import Input, Op


class Tensor(NamedTuple):
    """A tensor of the graph that is being built: the node that makes it, and its shape for one image."""

    name: str
    shape: Shape

    @property
    def channels(self) -> int:
        """Size of the first axis."""
        return self.shape[0]


class Builder:
    """Makes a graph, one operator at a time.

    Example:
        >>> from archcost.ops import Conv2d, ReLU
        >>> net = Builder("tiny")
        >>> x = net.input((3, 32, 32))
        >>> with net.scope("features", "two layers"):
        ...     x = net(Conv2d(16, 3, padding=1), x, name="conv")   # features.conv, 16x32x32
        ...     x = net(ReLU(), x)                                  # features.relu, named by its operator
        >>> net.build(x).shapes["features.relu"]
        (16, 32, 32)
    """

    def __init__(self, name: str = "network", variant: str = "") -> None:
        self._name = name
        self._variant = variant
        self._nodes: list[Node] = []
        self._shapes: dict[str, Shape] = {}
        self._scopes: dict[str, str] = {}
        self._path: tuple[str, ...] = ()
        self._used: dict[str, int] = {}

    def input(self, shape: Sequence[int], name: str = "input") -> Tensor:
        """Add an input of ``shape`` for one image, for example (3, 224, 224)."""
        return self(Input(tuple(shape)), name=name)

    def __call__(
        self, op: Op, *inputs: Tensor, name: str = "", shares: Tensor | None = None, call: Call = "module"
    ) -> Tensor:
        """Add ``op``, reading ``inputs``, to the current scope; return its output.

        Args:
            op: the operator.
            inputs: what it reads.
            name: its name in the scope; by default the operator's name in lower case, numbered when it is repeated.
            shares: output of the earlier node whose parameters it uses.
            call: see ``Node.call``.

        Raises:
            GraphError: if the name is taken or the operator does not fit its inputs.
        """
        full = ".".join((*self._path, name)) if name else self._automatic(type(op).__name__.lower())
        node = Node(full, op, tuple([tensor.name for tensor in inputs]), shares.name if shares else None, call)
        shape = infer(node, self._shapes)
        self._nodes.append(node)
        self._shapes[full] = shape
        return Tensor(full, shape)

    def _automatic(self, word: str) -> str:
        base = ".".join((*self._path, word))
        while True:
            number = self._used.get(base, 0)
            self._used[base] = number + 1
            name = f"{base}_{number}" if number else base
            if name not in self._shapes:
                return name

    @contextmanager
    def scope(self, name: str, kind: str = "") -> Iterator[None]:
        """Put what is added inside under ``name``; ``kind`` says in the layer tree what it is (``Bottleneck``)."""
        before = self._path
        self._path = (*before, *str(name).split("."))
        if kind:
            self._scopes[".".join(self._path)] = kind
        try:
            yield
        finally:
            self._path = before

    def build(self, *outputs: Tensor) -> Graph:
        """Return the finished graph with the given outputs."""
        names = tuple([tensor.name for tensor in outputs])
        return Graph.of_inferred(tuple(self._nodes), self._shapes, names, self._name, self._variant, self._scopes)


def Sequential(  # noqa: N802  (it reads as the class that it stands for)
    layers: Sequence[Op] | Mapping[str, Op], input_shape: Sequence[int], name: str = "network", variant: str = ""
) -> Graph:
    """Return the graph of a plain network: each operator reads the one before it.

    Args:
        layers: operators in order, named "0", "1", ... as in a framework's Sequential; or a mapping from names.
        input_shape: shape of one image, (channels, height, width).
        name: name of the network.
        variant: which variant it is.

    Example:
        >>> from archcost.ops import Conv2d, Flatten, Linear, ReLU
        >>> net = Sequential([Conv2d(8, 3), ReLU(), Flatten(), Linear(10)], input_shape=(1, 28, 28))
        >>> net.shapes["3"]
        (10,)
    """
    net = Builder(name, variant)
    x = net.input(input_shape)
    named = layers if isinstance(layers, Mapping) else {str(index): op for index, op in enumerate(layers)}
    for layer, op in named.items():
        x = net(op, x, name=layer)
    return net.build(x)
