"""Weights from files into networks, by the names of the framework's state dict, and back into files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.files import write_whole
from archcost.geometry import Shape, shape_text, shown
from archcost.interop.npz import Arrays, npz_arrays, npz_content, short, unreadable
from archcost.interop.safetensors_file import safetensors_arrays, safetensors_content
from archcost.ops import Scale
from archcost.patterns import matches

if TYPE_CHECKING:
    from archcost.engine.network import Network
    from archcost.graph import Graph
    from archcost.interop.state import State

PICKLES = {".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt"}
RECIPE = (
    "import torch, safetensors.torch; "
    "state = torch.load({source!r}, map_location='cpu', weights_only=True); "
    "safetensors.torch.save_file({{k: v.clone().contiguous() for k, v in state.items()}}, {target!r})"
)
"""What turns a state dict of PyTorch into a file that can be read; cloned, as tensors there may share memory."""

NAMES_SHOWN = 3
"""Names that an error shows of each kind."""

COUNTER = ".num_batches_tracked"
"""How many batches a BatchNorm has seen: older files lack it, and nothing that we compute depends on it."""


class Tensor(NamedTuple):
    """One tensor of a file.

    Attributes:
        name: in the file.
        dtype: element type in the file (``bfloat16`` too).
        array: the elements; bfloat16, which NumPy lacks, as float32 of equal value.
    """

    name: str
    dtype: str
    array: npt.NDArray[Any]


def read_weights(path: str | Path) -> Arrays:
    """Return the arrays of a file by name, in the file's element types (bfloat16 as float32).

    Args:
        path: ``.npz``, ``.safetensors`` (``pip install "archcost[weights]"``), or ``.onnx`` (``archcost[onnx]``), whose
            arrays have the names that its graph has for us.

    Raises:
        UsageError: for another kind of file (a pickle is never opened), or one that is missing, damaged or hostile.
    """
    return {tensor.name: tensor.array for tensor in weights_in(path)}


def weights_in(path: str | Path) -> Iterator[Tensor]:
    """Yield the tensors of a file one after the other. Raises as ``read_weights`` does."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind in PICKLES:
        recipe = RECIPE.format(source=str(path), target=str(path.with_suffix(".safetensors")))
        raise unreadable(path, f"a pickle may run any code, so it is never opened; in PyTorch, convert it: {recipe}")
    if kind == ".npz":
        return (Tensor(name, array.dtype.name, array) for name, array in npz_arrays(path))
    if kind == ".safetensors":
        return (Tensor(*found) for found in safetensors_arrays(path))
    if kind == ".onnx":
        from archcost.interop.onnx.opening import read_onnx

        state = read_onnx(path, allow_unknown=True).state()
        return (Tensor(name, array.dtype.name, array) for name, array in state.items())
    raise unreadable(path, "weights are read from .npz, .safetensors and .onnx")


def write_weights(path: str | Path, arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write arrays to a file, whole or not at all; equal arrays give equal bytes.

    Args:
        path: ``.npz`` or ``.safetensors``.
        arrays: name -> numbers.

    Raises:
        UsageError: for another suffix, an array that holds no numbers, or a file that cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in {".npz", ".safetensors"}:
        raise UsageError(f"cannot write {str(path)!r}: weights are written as .npz or .safetensors")
    plain: Arrays = {}
    for name, given in arrays.items():
        array = np.asarray(given)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise UsageError(f"cannot write {str(path)!r}: {shown(name)} is of type {array.dtype}; weights are numbers")
        plain[name] = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    write_whole(path, npz_content(plain) if kind == ".npz" else safetensors_content(plain))


def state_of(network: Network | State) -> Arrays:
    """Return copies of all parameters and buffers of ``network``, named as in the framework's state dict."""
    return {_state_name(network.graph, name): array.copy() for name, array in _tensors(network).items()}


@dataclass(frozen=True)
class WrongShape:
    """A tensor that is there under its name, but of another shape than the network's."""

    name: str
    wanted: Shape
    given: Shape

    def __str__(self) -> str:
        return f"{self.name} is {shape_text(self.given)}, not {shape_text(self.wanted)}"


@dataclass(frozen=True)
class LoadReport:
    """What was loaded into a network, and what was not.

    Attributes:
        loaded: tensors that were written, by the network's names.
        missing: tensors of the network that the weights do not have.
        unexpected: tensors of the weights that the network does not have.
        wrong_shape: tensors of both, in different shapes.
        ignored: tensors of either that were left out on request.
        converted: element type -> number of tensors that were converted from it to the network's precision.
        precision: the network's.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    wrong_shape: tuple[WrongShape, ...] = ()
    ignored: tuple[str, ...] = ()
    converted: Mapping[str, int] = field(default_factory=dict)
    precision: str = "float32"

    @property
    def complete(self) -> bool:
        """Whether network and weights have the same tensors, apart from those that were left out on request."""
        return not (self.missing or self.unexpected or self.wrong_shape)

    def lines(self, names: int | None = None) -> list[str]:
        """Return what a person should read: what was loaded, converted, and each kind of what did not fit.

        Args:
            names: how many of each kind are named; None for all.
        """
        text = [f"loaded {_tensor_count(len(self.loaded))}"]
        text += [f"{number} of {kind} converted to {self.precision}" for kind, number in self.converted.items()]
        if self.ignored:
            text.append(f"{len(self.ignored)} left out ({_some(self.ignored, names)})")
        return text + self.differences(names)

    def differences(self, names: int | None = None) -> list[str]:
        """Return one text for each kind of difference between network and weights; see ``lines``."""
        kinds: dict[str, Collection[object]] = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.wrong_shape,
        }
        return [f"{len(found)} {kind} ({_some(found, names)})" for kind, found in kinds.items() if found]


def load_into(
    network: Network | State,
    arrays: Mapping[str, npt.NDArray[Any]],
    *,
    partial: bool = False,
    ignore: Iterable[str] = (),
    source: str = "the weights",
) -> LoadReport:
    """Write arrays into the parameters and buffers of ``network`` that have their names.

    Names are those of the framework's state dict; a learned scale may be called like its node alone. Shapes may differ
    in trailing axes of size 1 (a 1x1 convolution's weights fit a dense layer). Numbers of another type are converted to
    the network's precision. Either everything is written, or nothing is and there is an error.

    Args:
        network: what is written to.
        arrays: name -> array, as ``read_weights`` returns them.
        partial: write what fits, and report the rest instead of refusing it.
        ignore: patterns of tensors or layers that are neither written nor missed (``fc``, ``*.bias``).
        source: what the arrays are called in an error (the file's name).

    Returns:
        What was written and what was not.

    Raises:
        UsageError: if names or shapes differ (with ``partial``: if nothing fits), or values are no finite numbers of
            the network's precision although they are finite in theirs.
    """
    targets = _tensors(network)
    patterns = tuple(ignore)
    given = {own_name(network.graph, name, arrays): array for name, array in arrays.items()}
    named = {**targets, **given}
    ignored = {name: None for name in named if any(matches(name, pattern) for pattern in patterns)}
    wanted = {name: array for name, array in targets.items() if name not in ignored}
    fitting = [name for name in wanted if name in given and fits(given[name].shape, wanted[name].shape)]
    values = {name: _converted(given[name], wanted[name], name, source) for name in fitting}
    report = LoadReport(
        tuple(fitting),
        tuple(name for name in wanted if name not in given and not name.endswith(COUNTER)),
        tuple(name for name in given if name not in targets and name not in ignored),
        tuple(
            WrongShape(name, array.shape, given[name].shape)
            for name, array in wanted.items()
            if name in given and name not in values
        ),
        tuple(ignored),
        Counter(given[name].dtype.name for name in fitting if given[name].dtype != wanted[name].dtype),
        network.precision,
    )
    if not (report.complete or partial):
        found = "; ".join(report.differences(NAMES_SHOWN))
        raise UsageError(f"{source} cannot be loaded into {network.graph.name}: {found} (`partial` loads what fits)")
    if not values:
        raise UsageError(f"nothing in {source} has the name and shape of a tensor of {network.graph.name}")
    for name, value in values.items():
        wanted[name][...] = value
    network.parameters.touch()
    network.buffers.touch()
    return report


def mismatched(network: Network, arrays: Mapping[str, npt.NDArray[Any]]) -> frozenset[str]:
    """Return the tensors of ``network`` that ``arrays`` lack, or have in another shape."""
    given = {own_name(network.graph, name, arrays): array.shape for name, array in arrays.items()}
    return frozenset(
        name
        for name, array in _tensors(network).items()
        if not (name.endswith(COUNTER) if name not in given else fits(given[name], array.shape))
    )


def _tensors(network: Network | State) -> Arrays:
    """Return the arrays that the engine itself reads; who writes into them must ``touch()``."""
    return {**network.parameters.arrays, **network.buffers.arrays}


def _state_name(graph: Graph, name: str) -> str:
    """Return the name that the framework gives a tensor: a learned scale is no layer there but a bare parameter."""
    node, _, tensor = name.rpartition(".")
    return node if tensor == "weight" and isinstance(graph.node(node).op, Scale) else name


def own_name(graph: Graph, name: str, names: Collection[str] = ()) -> str:
    """Return our name for a tensor that may have the framework's; what has both names keeps them."""
    own = f"{name}.weight"
    is_scale = name in graph.shapes and isinstance(graph.node(name).op, Scale)
    return own if is_scale and own not in names else name


def fits(given: Shape, wanted: Shape) -> bool:
    """Return whether two shapes differ at most in trailing axes of size 1."""
    return _without_trailing_ones(given) == _without_trailing_ones(wanted)


def _without_trailing_ones(shape: Shape) -> Shape:
    axes = len(shape)
    while axes and shape[axes - 1] == 1:
        axes -= 1
    return shape[:axes]


def _converted(value: npt.NDArray[Any], target: npt.NDArray[Any], name: str, source: str) -> npt.NDArray[Any]:
    """Return ``value`` in the shape and type of ``target``; itself where it has them."""
    if value.dtype.kind not in ("iu" if target.dtype.kind == "i" else "iuf"):
        raise UsageError(f"{name} in {source} has elements of type {value.dtype}, not {target.dtype}")
    with np.errstate(over="ignore"):
        result = value.reshape(target.shape).astype(target.dtype, copy=False)
    narrower = value.dtype.kind == "f" and value.dtype.itemsize > target.dtype.itemsize
    if narrower and not np.array_equal(np.isfinite(result), np.isfinite(value.reshape(target.shape))):
        raise UsageError(f"{name} in {source} has values that {target.dtype} cannot hold")
    return result


def _tensor_count(number: int) -> str:
    return f"{number} tensor{'' if number == 1 else 's'}"


def _some(things: Collection[object], number: int | None) -> str:
    """Return the first few of ``things`` as a text that says if there are more."""
    text = ", ".join(short(str(thing)) for thing in islice(things, number))
    return text if number is None or len(things) <= number else f"{text}, ..."
