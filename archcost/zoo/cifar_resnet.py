"""Residual networks for CIFAR-10.

Source: He et al. 2016, section 4.2 and Table 6 (20, 32, 44, 56, 110 and 1202 layers): a 3x3 convolution of 16 channels,
three stages of n basic blocks each with 16, 32 and 64 channels, global average pooling, one dense layer: 6n + 2
weighted layers. All shortcuts are option A: no parameters.

No framework has these networks; node names are those of ``resnet``.
"""

from __future__ import annotations

from archcost.build import Builder
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, BatchNorm2d, Conv2d, ReLU
from archcost.zoo.blocks import pooled_classifier
from archcost.zoo.resnet import Shortcut, basic, shortcut_connection

STAGE_CHANNELS = (16, 32, 64)
LAYERS_PER_BLOCK = 2


def cifar_resnet(
    *, depth: int, input_size: Shape = (3, 32, 32), num_classes: int = 10, shortcut: Shortcut = "A"
) -> Graph:
    """Return the residual (or plain) network of ``depth`` = 6n + 2 layers.

    Args:
        depth: 8, 14, 20, ...
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        shortcut: where the shape changes: "A" zeros, "B" projection; "C" projects in every block; "none" is plain.
    """
    stages = len(STAGE_CHANNELS)
    blocks, rest = divmod(depth - 2, stages * LAYERS_PER_BLOCK)
    if blocks < 1 or rest:
        raise ModelError(f"`depth` (={depth}) must be 6n + 2 with n of at least 1")
    if shortcut not in ("A", "B", "C", "none"):
        raise ModelError(f"`shortcut` (={shortcut!r}) must be 'A', 'B', 'C' or 'none'")
    net = Builder()
    x = net.input(input_size)
    x = net(Conv2d(STAGE_CHANNELS[0], 3, padding=1, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu")
    for stage, channels in enumerate(STAGE_CHANNELS, 1):
        with net.scope(f"layer{stage}", f"stage {stage}"):
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                with net.scope(str(block), "BasicBlock"):
                    branch = basic(net, x, channels, stride)
                    if shortcut != "none":
                        side = shortcut_connection(net, x, channels, stride, shortcut)
                        branch = net(Add(), branch, side, call="operator")
                    x = net(ReLU(), branch, name="relu")
    return net.build(pooled_classifier(net, x, num_classes))
