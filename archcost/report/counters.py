"""What each FLOP counter adds up for one operator: the rules, as functions of shapes.

Sources, each read and then confirmed on torchvision 0.28 and timm 1.0.31, to the unit: ``torch.utils.flop_counter`` of
torch 2.13, fvcore 0.1.5, thop 0.1.1, ptflops 0.7.5 (both backends), torchinfo 1.8.0; batch 1, evaluation mode.

The counters watch a model in four ways, so that how it is written decides what they see (``graph.Node.call``):

- below Python, operator by operator (torch's counter, fvcore, ptflops' aten backend): everything is seen, however it is
  called; an operator without a rule counts 0;
- hooks on modules of a registered class, subclasses excluded (thop; half of ptflops' pytorch backend);
- functions of ``torch.nn.functional`` replaced by counting ones (the other half of ptflops' pytorch backend): a module
  whose class calls such a function counts twice;
- hooks on every module without children (torchinfo): it knows parameters and output shapes, no operations.

Operators that no framework class does are taken in their plainest form: partial connections as one convolution for
each output channel, trained subsampling as a module with a weight and a bias around ``F.avg_pool2d``, additions and
products that are not said to be function calls as ``+`` and ``*``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from archcost.geometry import pair, product, resolve
from archcost.ops.activation import GELU, ReLU, ReLU6, SiLU, Softmax
from archcost.ops.base import Op
from archcost.ops.conv import Conv2d, ConvTranspose2d, Multiplying, PartialConv2d
from archcost.ops.conv3d import AvgPool3d, Conv3d, Pool3d
from archcost.ops.dense import Linear, MatMul
from archcost.ops.functions import ELU, LeakyReLU, PReLU
from archcost.ops.merge import Add, Mul
from archcost.ops.norm import BatchNorm2d, ConstantScale, InstanceNorm, LayerNorm, LocalResponseNorm, Scale
from archcost.ops.pool import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, GlobalPool, LpPool2d, MaxPool2d, Window
from archcost.ops.resize import Resize
from archcost.report.work import Work

Terms: TypeAlias = dict[str, int]
"""What is added, in words -> how much; a term that a counter forgets is negative."""

MACS = "conv+dense MACs"
BIASES = "bias additions"
HOOKED_ACTIVATIONS, PATCHED_ACTIVATIONS = "activations, by module hooks", "activations, by patched functions"
HOOKED_POOLS, PATCHED_POOLS = "pool inputs, by module hooks", "pool inputs, by patched functions"


Rule: TypeAlias = Callable[[Work], Terms]

RESIZED = {"fvcore": {"nearest": 1, "linear": 4}, "thop": {"nearest": 1, "linear": 11}}
"""Counter -> operations for each output element of a resized map."""


def papers(work: Work) -> Terms:
    """Multiply-accumulates of convolution and dense layers."""
    return {MACS: work.mult_adds}


def torchvision(work: Work) -> Terms:
    """As the papers', of what runs in inference."""
    return {} if work.call == "training" else {MACS: work.mult_adds}


def convolutions_alone(work: Work) -> Terms:
    """As the papers' that leave out the dense layers."""
    return {} if isinstance(work.op, (Linear, MatMul)) else {"conv MACs": work.mult_adds}


def flop_counter(work: Work) -> Terms:
    """Two for each multiply-accumulate; nothing else."""
    return {} if work.call == "training" else {f"2 x {MACS}": 2 * work.mult_adds}


def fvcore(work: Work) -> Terms:
    """Multiply-accumulates, normalised elements and the inputs of adaptive pools, in one sum."""
    op, elements = work.op, product(work.read)
    if work.call == "training":
        return {}
    if isinstance(op, Conv2d) and op.padding == "same" and work.call != "subclass":
        # A padding in words is another operator to the tracer, and one that fvcore has no rule for.
        return {MACS: work.mult_adds, "convolutions padded by a word, which it misses": -work.mult_adds}
    if isinstance(op, (Multiplying, MatMul)):
        return {MACS: work.mult_adds}
    if isinstance(op, BatchNorm2d):
        return _times(2 if op.affine else 1, "BatchNorm elements", elements)
    if isinstance(op, LayerNorm):
        return _times(5 if op.affine else 4, "LayerNorm elements", elements)
    if isinstance(op, InstanceNorm):
        return _times(5, "InstanceNorm elements", elements)
    if isinstance(op, Resize):
        return _times(RESIZED["fvcore"][op.mode], "resized elements", product(work.made))
    if isinstance(op, (AdaptiveAvgPool2d, GlobalAvgPool)) and work.call != "method":
        return {"adaptive pool inputs": elements}
    return {}


def thop(work: Work) -> Terms:
    """Modules of registered classes alone; an affine normalisation is doubled twice."""
    op = work.op
    if work.call != "module":
        return {}
    if isinstance(op, BatchNorm2d):
        return _times(4 if op.affine else 2, "BatchNorm elements", product(work.read))
    if isinstance(op, LayerNorm):
        return _times(4 if op.affine else 2, "LayerNorm elements", product(work.read))
    if isinstance(op, InstanceNorm):
        return _times(4, "InstanceNorm elements", product(work.read))
    return _thop_without_norms(work)


def thop_once(work: Work) -> Terms:
    """Releases of thop that counted a normalisation once, affine or not."""
    if work.call == "module" and isinstance(work.op, (BatchNorm2d, LayerNorm, InstanceNorm)):
        return _times(2, f"{type(work.op).__name__.removesuffix('2d')} elements", product(work.read))
    return _thop_without_norms(work)


def _thop_without_norms(work: Work) -> Terms:
    op = work.op
    if work.call != "module":
        return {}
    if isinstance(op, ConvTranspose2d):
        taps = work.read[0] // op.groups * product(pair("", op.kernel_size))
        extra = product(work.made) * taps - work.mult_adds
        return {MACS: work.mult_adds, "transposed convolutions taken at output positions": extra}
    if isinstance(op, Multiplying):
        return {MACS: work.mult_adds}
    if isinstance(op, (AvgPool2d, AvgPool3d)):
        return {"average pool outputs": product(work.made)}
    if isinstance(op, (AdaptiveAvgPool2d, GlobalAvgPool)):
        return {"adaptive pool inputs + outputs": _thop_adaptive(work)}
    if isinstance(op, PReLU):
        return {"PReLU inputs": product(work.read)}
    if isinstance(op, Resize):
        return _times(RESIZED["thop"][op.mode], "resized elements", product(work.made))
    if isinstance(op, Softmax):
        features = work.read[op.axis]
        return {"softmax: exp, add, divide": product(work.read) // features * (3 * features - 1)}
    return {}


def _thop_adaptive(work: Work) -> int:
    """(window + 1) operations for each output, the window a real number, truncated: thop's own rounding errors too."""
    _, *size = work.read
    if len(size) != 2:
        return product(work.read) + product(work.made)
    height, width = size
    rows, columns = pair("", work.op.output_size) if isinstance(work.op, AdaptiveAvgPool2d) else (1, 1)
    return int((height / rows * (width / columns) + 1) * product(work.made))


def ptflops_aten(work: Work) -> Terms:
    """Multiply-accumulates and biases. A dense layer on a map whose axes were exchanged is a product without bias."""
    if work.call == "training" or not isinstance(work.op, (Multiplying, MatMul)):
        return {}
    seen = work.biases and (work.contiguous or len(work.read) == 1 or not isinstance(work.op, Linear))
    return {MACS: work.mult_adds, BIASES: product(work.made) if seen else 0}


def ptflops_pytorch(work: Work) -> Terms:
    """Module hooks and patched functions, added."""
    terms = ptflops_hooks(work)
    for name, count in _patched(work).items():
        terms[name] = terms.get(name, 0) + count
    return terms


def ptflops_hooks(work: Work) -> Terms:
    """Modules of registered classes alone: older releases of ptflops, and half of the present one."""
    op, elements = work.op, product(work.read)
    if work.call != "module":
        return {}
    if isinstance(op, Multiplying):
        return {MACS: work.mult_adds, BIASES: product(work.made) if work.biases else 0}
    if isinstance(op, BatchNorm2d):
        return _times(2 if op.affine else 1, "BatchNorm elements", elements)
    if isinstance(op, LayerNorm):
        return {"LayerNorm elements": elements}
    if isinstance(op, InstanceNorm):
        return _times(2, "InstanceNorm elements", elements)
    if isinstance(op, (ReLU, ReLU6, GELU, LeakyReLU, PReLU, ELU)):
        return {HOOKED_ACTIVATIONS: elements}
    if isinstance(op, Resize):
        return {"resized elements, by module hooks": product(work.made)}
    if isinstance(op, (MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, GlobalPool, Pool3d)):
        return {HOOKED_POOLS: _pool_input(work)}
    return {}


def _patched(work: Work) -> Terms:
    """What the replaced functions count: called by the model, or by the module of the framework that it uses."""
    op, elements = work.op, product(work.read)
    if work.call == "function" and isinstance(op, (Add, Mul)):
        return {"additions and products called by name": product(work.made) * (work.inputs - 1)}
    if work.call == "function" and isinstance(op, (Scale, ConstantScale)):
        return {"additions and products called by name": elements}
    if work.call in ("module", "subclass", "function"):
        if isinstance(op, LpPool2d):
            # an average pool of powers, a ReLU of what comes out, and a product called by name
            return {
                PATCHED_POOLS: _pool_input(work),
                PATCHED_ACTIVATIONS: product(work.made),
                "additions and products called by name": product(work.made),
            }
        if isinstance(op, (Window, AdaptiveAvgPool2d, GlobalPool, Pool3d)):
            return {PATCHED_POOLS: _pool_input(work)}
    if work.call not in ("module", "function"):
        return {}
    # A module of ReLU6 calls another function, which is not replaced.
    if isinstance(op, Resize):
        return {"resized elements, by patched functions": product(work.made)}
    if isinstance(op, (ReLU, GELU, SiLU, Softmax, PReLU, ELU)) or (isinstance(op, ReLU6) and work.call == "function"):
        return {PATCHED_ACTIVATIONS: elements}
    if isinstance(op, LocalResponseNorm):
        # x * x, an average over channels that are padded by size - 1, times alpha, plus k.
        channels, *positions = work.read
        averaged = (channels + op.size - 1) * product(positions)
        return {"response norm: products, sums, pool inputs": 3 * elements + averaged}
    return {}


def _pool_input(work: Work) -> int:
    """Elements that a pool reads. The framework's own pads both sides alike, in passing; others pad first."""
    op = work.op
    channels, *size = work.read
    if isinstance(op, Window):
        kernel, stride, padding = op.window
        edges = resolve(padding, size, kernel, stride, (1, 1))
        if work.call == "subclass" or any(before != after for before, after in edges):
            size = [length + sum(edge) for length, edge in zip(size, edges)]
    return channels * product(size)


def torchinfo(work: Work) -> Terms:
    """Parameters of modules: those of convolutions at each output position, all others once for each image."""
    op, parameters = work.op, work.weights + work.biases
    if work.call not in ("module", "subclass") or not parameters:
        return {}
    positions = product(work.made[1:])
    if isinstance(op, ConvTranspose2d):
        extra = work.weights * positions - work.mult_adds
        return {
            MACS: work.mult_adds,
            "transposed convolutions taken at output positions": extra,
            BIASES: work.biases * positions,
        }
    if isinstance(op, (Conv2d, PartialConv2d, Conv3d)):
        return {MACS: work.mult_adds, BIASES: work.biases * positions}
    if isinstance(op, Linear):
        forgotten = work.weights - work.mult_adds
        return {MACS: work.mult_adds, BIASES: work.biases, "dense layers on maps taken at one position": forgotten}
    kind = "norm parameters" if isinstance(op, (BatchNorm2d, LayerNorm, InstanceNorm)) else "parameters of other layers"
    return {f"{kind}, once": parameters}


def _times(factor: int, what: str, elements: int) -> Terms:
    return {f"{factor} x {what}" if factor > 1 else what: factor * elements}


SEEN_BY_THOP: tuple[type[Op], ...] = (Multiplying, BatchNorm2d, LayerNorm, InstanceNorm, PReLU)
"""Operators whose parameters thop reports, where it sees the module at all."""
