"""The known data sets: their classes, files, checksums, and the public mirrors that serve them.

Checksums and sizes are those that the publishers and torchvision state: MNIST (LeCun, Cortes and Burges) and
Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017; the table in the repository's README), CIFAR-10 (Krizhevsky, 2009; the
page of the data set). The checksums of the uncompressed contents also hold for a file that somebody has unpacked or
packed anew, of which there are many.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Args:
        name: file name on every mirror.
        size: bytes of the file as it is served.
        md5: checksum of the file as it is served.
        content: checksum of what it holds when uncompressed; empty if it is only ever read as it is served.
    """

    name: str
    size: int
    md5: str
    content: str = ""


@dataclass(frozen=True)
class Source:
    """A known data set.

    Args:
        title: the name as people write it.
        classes: names of the classes, by label.
        folders: where it lies below a root of data sets; the first is where a download goes.
        mirrors: addresses of folders with all files, tried in this order.
        files: what is downloaded.
    """

    title: str
    classes: tuple[str, ...]
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
IDX_NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
"""The four files of MNIST and of everything made in its image, without ``.gz``."""

CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"

SOURCES: dict[str, Source] = {
    "mnist": Source(
        title="MNIST",
        classes=tuple("0123456789"),
        folders=("mnist", "MNIST/raw"),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        files=(
            RemoteFile(
                f"{TRAIN_IMAGES}.gz", 9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"
            ),
            RemoteFile(
                f"{TRAIN_LABELS}.gz", 28881, "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"
            ),
            RemoteFile(
                f"{TEST_IMAGES}.gz", 1648877, "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"
            ),
            RemoteFile(
                f"{TEST_LABELS}.gz", 4542, "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"
            ),
        ),
    ),
    "fashion-mnist": Source(
        title="Fashion-MNIST",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        folders=("fashion-mnist", "FashionMNIST/raw"),
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        files=(
            RemoteFile(
                f"{TRAIN_IMAGES}.gz", 26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"
            ),
            RemoteFile(
                f"{TRAIN_LABELS}.gz", 29515, "25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"
            ),
            RemoteFile(
                f"{TEST_IMAGES}.gz", 4422102, "bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"
            ),
            RemoteFile(
                f"{TEST_LABELS}.gz", 5148, "bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"
            ),
        ),
    ),
    "cifar10": Source(
        title="CIFAR-10",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        folders=("cifar10",),
        mirrors=("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
        files=(RemoteFile(CIFAR10_ARCHIVE, 170052171, "c32a1d4ab5d03f1284b67883e8d87530"),),
    ),
}
