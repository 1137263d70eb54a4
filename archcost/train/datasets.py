"""Data sets by name or path: what the command line calls DATASET.

>>> from archcost.train.datasets import open_dataset
>>> digits = open_dataset("mnist")                  # doctest: +SKIP
>>> digits.train.take(np.arange(64)).shape          # doctest: +SKIP
(64, 1, 28, 28)
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from archcost.cache_folder import platform_cache
from archcost.errors import UsageError, did_you_mean
from archcost.train.dataset import Dataset
from archcost.train.download import DownloadError
from archcost.train.image_folder import read_image_folder
from archcost.train.known import ImageOptions, has_idx_files, idx_folder, known_dataset
from archcost.train.npz import read_npz
from archcost.train.reading import refused
from archcost.train.sources import SOURCES, Source

STAND_IN = "synthetic-digits"
DATASETS = (*SOURCES, STAND_IN)
"""The names that ``open_dataset`` knows."""


def open_dataset(
    dataset: str | Path,
    root: str | Path | None = None,
    *,
    require_real: bool = False,
    fetch: bool = True,
    image_size: int | None = None,
    channels: int | None = None,
) -> Dataset:
    """Return a data set, downloaded if it is a known one that is not there yet.

    The files of ``mnist``, ``fashion-mnist`` and ``cifar10`` are looked for in a folder of data sets (``mnist`` lies in
    its folder ``mnist``) or in the data set's own folder, gzipped or not; CIFAR-10 as the binary version's archive, as
    what that unpacks to, or as ``train`` and ``test`` folders of images. The structure of every file is checked. The
    published checksums are checked after a download, and each time in ``ARCHCOST_DATA`` and in the cache folder, which
    should hold the published data and nothing else; a folder given as ``root`` may hold what its owner likes.

    MNIST that can neither be found nor downloaded is replaced by synthetic digits, and one line on stderr says so.

    Args:
        dataset: ``mnist``, ``fashion-mnist``, ``cifar10`` or ``synthetic-digits``; or the path of an ``.npz`` file, of
            a folder with one folder of images for each class, or of a folder with four IDX files named as MNIST's. A
            path that is not there is looked for in ``root``. A folder named as a known data set is ``./mnist``.
        root: folder of data sets, or the data set's own. If None: ``ARCHCOST_DATA``, or else the platform's cache
            folder.
        require_real: refuse to replace MNIST by synthetic digits.
        fetch: download what is not there.
        image_size: for folders of images: height and width that every image gets.
        channels: for folders of images: 1 converts every image to grey, 3 to RGB.

    Raises:
        UsageError: there is no such data set, it could not be had, or its files are not what they should be.
    """
    name = str(dataset)
    options = ImageOptions(image_size, channels)
    home = _home(root)
    if name == STAND_IN:
        return _synthetic(options)
    if name not in SOURCES:
        return _from_path(name, home, options)
    if root is not None and home.name in SOURCES and home.name != name:
        raise UsageError(f"the data folder {str(root)!r} is that of {home.name}, not of {name}")
    try:
        return known_dataset(name, home, checked=root is None, fetch=fetch, options=options)
    except DownloadError as error:
        source = SOURCES[name]
        place = str(home / source.folders[0])
        advice = f"put {_wanted(source)} into {place!r}, or pass the folder that has them with --data"
        if name == "mnist" and not require_real:
            found = _synthetic(options)
            sys.stderr.write(
                f"archcost: MNIST could not be had: {error}; using {found.name} instead, drawn by archcost itself; "
                f"for MNIST {advice}\n"
            )
            return replace(found, note="; ".join(filter(None, ("stand-in for MNIST", found.note))))
        raise UsageError(f"{source.title} could not be had: {error}; {advice}") from None


def _synthetic(options: ImageOptions) -> Dataset:
    from archcost.train.synthetic import synthetic_digits

    options.refuse(STAND_IN)
    return synthetic_digits()


def _home(root: str | Path | None) -> Path:
    """Return the folder of data sets, or the data set's own."""
    if root is not None:
        home = Path(root).expanduser()
        if not home.is_dir():
            raise UsageError(f"no such data folder: {str(root)!r} (make it to have data downloaded into it)")
        return home
    if given := os.environ.get("ARCHCOST_DATA"):
        return Path(given).expanduser()
    try:
        return platform_cache() / "archcost" / "data"
    except RuntimeError:
        raise UsageError(
            "there is no home folder for data sets: set ARCHCOST_DATA to a folder, or pass --data"
        ) from None


def _wanted(source: Source) -> str:
    """Return the files of a data set in words: ``the 4 files a.gz, b.gz, ...``."""
    names = ", ".join(file.name for file in source.files)
    return f"the {len(source.files)} files {names}" if len(source.files) > 1 else names


def _from_path(name: str, home: Path, options: ImageOptions) -> Dataset:
    """Read a data set that is no known one from a file or folder."""
    path = Path(name).expanduser()
    if not path.exists():
        path = home / path
    if not path.exists():
        hint = did_you_mean(name, DATASETS)
        allowed = f"{', '.join(DATASETS)}, a folder of class folders of images, or an .npz file"
        raise UsageError(f"unknown data set {name!r}{hint}: it must be {allowed}")
    if path.is_dir():
        if has_idx_files(path):
            options.refuse(name)
            return idx_folder(path)
        return read_image_folder(path, options.image_size, options.channels)
    if path.suffix.lower() != ".npz":
        raise refused(path, "a data set is a folder or an .npz file")
    options.refuse(name)
    return read_npz(path)
