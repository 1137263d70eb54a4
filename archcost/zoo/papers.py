"""The papers that the catalogue's networks come from: each stands here once."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    """A publication."""

    authors: str
    year: int
    title: str
    where: str

    def __str__(self) -> str:
        return f"{self.authors} {self.year}, {self.title}, {self.where}"


PAPERS: dict[str, Paper] = {
    key: Paper(*fields)
    for key, fields in {
        "lenet": ("LeCun et al.", 1998, "Gradient-Based Learning Applied to Document Recognition", "Proc. IEEE 86(11)"),
        "alexnet": ("Krizhevsky et al.", 2012, "ImageNet Classification with Deep CNNs", "NIPS"),
        "alexnet_owt": ("Krizhevsky", 2014, "One Weird Trick for Parallelizing CNNs", "arXiv:1404.5997"),
        "vgg": ("Simonyan & Zisserman", 2015, "Very Deep Convolutional Networks", "ICLR, arXiv:1409.1556"),
        "googlenet": ("Szegedy et al.", 2015, "Going Deeper with Convolutions", "CVPR, arXiv:1409.4842"),
        "bn_inception": ("Ioffe & Szegedy", 2015, "Batch Normalization", "ICML, arXiv:1502.03167"),
        "inception_v3": ("Szegedy et al.", 2016, "Rethinking the Inception Architecture", "CVPR, arXiv:1512.00567"),
        "inception_v4": ("Szegedy et al.", 2017, "Inception-v4, Inception-ResNet", "AAAI, arXiv:1602.07261"),
        "resnet": ("He et al.", 2016, "Deep Residual Learning for Image Recognition", "CVPR, arXiv:1512.03385"),
        "wide_resnet": ("Zagoruyko & Komodakis", 2016, "Wide Residual Networks", "BMVC, arXiv:1605.07146"),
        "squeezenet": ("Iandola et al.", 2016, "SqueezeNet", "arXiv:1602.07360"),
        "resnext": ("Xie et al.", 2017, "Aggregated Residual Transformations", "CVPR, arXiv:1611.05431"),
        "densenet": ("Huang et al.", 2017, "Densely Connected Convolutional Networks", "CVPR, arXiv:1608.06993"),
        "xception": ("Chollet", 2017, "Xception: Depthwise Separable Convolutions", "CVPR, arXiv:1610.02357"),
        "mobilenet_v1": ("Howard et al.", 2017, "MobileNets", "arXiv:1704.04861"),
        "mobilenet_v2": ("Sandler et al.", 2018, "MobileNetV2: Inverted Residuals", "CVPR, arXiv:1801.04381"),
        "deeplab_v3_plus": ("Chen et al.", 2018, "Encoder-Decoder with Atrous Separable Convolution", "ECCV"),
        "senet": ("Hu et al.", 2018, "Squeeze-and-Excitation Networks", "CVPR, arXiv:1709.01507"),
        "shufflenet_v1": ("Zhang et al.", 2018, "ShuffleNet", "CVPR, arXiv:1707.01083"),
        "shufflenet_v2": ("Ma et al.", 2018, "ShuffleNet V2: Practical Guidelines", "ECCV, arXiv:1807.11164"),
        "nasnet": ("Zoph et al.", 2018, "Learning Transferable Architectures", "CVPR, arXiv:1707.07012"),
        "pnasnet": ("Liu et al.", 2018, "Progressive Neural Architecture Search", "ECCV, arXiv:1712.00559"),
        "mobilenet_v3": ("Howard et al.", 2019, "Searching for MobileNetV3", "ICCV, arXiv:1905.02244"),
        "mnasnet": ("Tan et al.", 2019, "MnasNet: Platform-Aware Search", "CVPR, arXiv:1807.11626"),
        "efficientnet": ("Tan & Le", 2019, "EfficientNet: Rethinking Model Scaling", "ICML, arXiv:1905.11946"),
        "ghostnet": ("Han et al.", 2020, "GhostNet: More Features from Cheap Operations", "CVPR, arXiv:1911.11907"),
        "regnet": ("Radosavovic et al.", 2020, "Designing Network Design Spaces", "CVPR, arXiv:2003.13678"),
        "efficientnet_v2": ("Tan & Le", 2021, "EfficientNetV2", "ICML, arXiv:2104.00298"),
        "convnext": ("Liu et al.", 2022, "A ConvNet for the 2020s", "CVPR, arXiv:2201.03545"),
    }.items()
}
