"""Normalisation and learned scales as ONNX nodes: one function for each operator."""

from __future__ import annotations

import numpy as np

from archcost.interop.onnx.writing_place import Place
from archcost.ops import BatchNorm2d, InstanceNorm, LayerNorm, LocalResponseNorm, Scale


def batch_norm2d(place: Place, op: BatchNorm2d) -> None:
    """BatchNormalization with the running statistics; without learned factors, ones and zeros are constants."""
    channels = place.shapes[0][0]
    affine = place.weights() if op.affine else [place.constant(np.ones(channels)), place.constant(np.zeros(channels))]
    statistics = [place.weight(name) for name in ("running_mean", "running_var")]
    place.end(
        "BatchNormalization",
        *place.inputs,
        *affine,
        *statistics,
        epsilon=float(op.eps),
        momentum=1 - float(op.momentum),
    )


def layer_norm(place: Place, op: LayerNorm) -> None:
    """LayerNormalization over the last axes; the channels of an image are made the last and put back."""
    rank = len(place.shapes[0])
    moved = op.axis == 0 and rank > 1
    value = place.add("Transpose", *place.inputs, perm=[0, *range(2, rank + 1), 1]) if moved else place.inputs[0]
    shape = place.shapes[0][:1] if op.axis == 0 else place.shapes[0][-op.normalized_axes :]
    affine = place.weights() if op.affine else [place.constant(np.ones(shape)), place.constant(np.zeros(shape))]
    if place.model.opset < 17:
        value = _by_parts(place, value, [-1 - axis for axis in range(len(shape))], float(op.eps), affine)
        if not moved:
            place.end("Identity", value)
    elif moved:
        value = place.add("LayerNormalization", value, *affine, axis=-1, epsilon=float(op.eps))
    else:
        place.end("LayerNormalization", value, *affine, axis=-len(shape), epsilon=float(op.eps))
    if moved:
        place.end("Transpose", value, perm=[0, rank, *range(1, rank)])


def _by_parts(place: Place, value: str, axes: list[int], eps: float, affine: list[str]) -> str:
    """Return a layer normalisation in the operators that there were before LayerNormalization."""
    centred = place.add("Sub", value, place.reduced("ReduceMean", value, axes))
    variance = place.reduced("ReduceMean", place.add("Mul", centred, centred), axes)
    deviation = place.add("Sqrt", place.add("Add", variance, place.constant(eps)))
    return place.add("Add", place.add("Mul", place.add("Div", centred, deviation), affine[0]), affine[1])


def instance_norm(place: Place, op: InstanceNorm) -> None:
    """InstanceNormalization."""
    place.end("InstanceNormalization", *place.inputs, *place.weights(), epsilon=float(op.epsilon))


def local_response_norm(place: Place, op: LocalResponseNorm) -> None:
    """LRN, whose alpha is divided by the size as ours is."""
    place.end("LRN", size=op.size, alpha=float(op.alpha), beta=float(op.beta), bias=float(op.k))


def scale(place: Place, op: Scale) -> None:
    """Mul by a parameter that broadcasts."""
    sizes = (-1,) if op.axis == -1 else (-1, *(1 for _ in place.shapes[0][1:]))
    place.end("Mul", *place.inputs, place.weight("weight", place.tensor("weight").reshape(sizes), f".{len(sizes)}"))
