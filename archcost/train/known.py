"""Reading the known data sets from the folders in which they may lie, and downloading what is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from archcost.errors import UsageError
from archcost.geometry import shape_text
from archcost.train.cifar import TEST, TRAINING, UNPACKED, read_cifar10_archive, read_cifar10_folder
from archcost.train.dataset import Dataset
from archcost.train.download import DownloadError, download
from archcost.train.idx import read_idx_split
from archcost.train.image_folder import read_image_folder
from archcost.train.reading import ChecksumError, refused
from archcost.train.sources import CIFAR10_ARCHIVE, IDX_NAMES, SOURCES, RemoteFile, Source


class ImageOptions(NamedTuple):
    """What may be asked of folders of images alone."""

    image_size: int | None = None
    channels: int | None = None

    def refuse(self, name: str) -> None:
        """Raise UsageError if anything is asked of a data set that is no folder of images."""
        for option, value in self._asdict().items():
            if value is not None:
                raise UsageError(f"`{option}` (={value}) is for folders of images; {name} is none")


def known_dataset(name: str, home: Path, *, checked: bool, fetch: bool, options: ImageOptions) -> Dataset:
    """Return a known data set, after a download if it is not there.

    Args:
        name: key of ``SOURCES``.
        home: folder of data sets, or the data set's own.
        checked: whether the published checksums must hold.
        fetch: whether to download what is not there.
        options: for the data set as a folder of images.

    Raises:
        DownloadError: files are missing and cannot be had.
        UsageError: files are there, but are not what they should be.
    """
    source = SOURCES[name]
    places = [*(home / folder for folder in source.folders), home]
    try:
        for place in places:
            if (found := _read(name, place, checked=checked, options=options)) is not None:
                return found
        # Where some of the files are, as a download leaves them when it is interrupted, there go the others.
        place = next((place for place in places if _missing(source, place) != source.files), places[0])
        missing = _missing(source, place)
        if not fetch:
            raise DownloadError(f"{str(place)!r} lacks {', '.join(file.name for file in missing)}")
        download(source.title, missing, source.mirrors, place)
        found = _read(name, place, checked=checked, options=options)
    except ChecksumError as error:
        advice = f"delete it to have it downloaded, or pass --data {str(home)!r} to take it as it is"
        raise UsageError(f"{error}; {advice}") from None
    if found is None:
        raise DownloadError(f"files vanished from {str(place)!r} while they were read")
    return found


def has_idx_files(folder: Path) -> bool:
    """Return whether a folder has any of the four files of MNIST, gzipped or not."""
    return any(_existing(folder, name) for name in IDX_NAMES)


def idx_folder(folder: Path, source_name: str = "", *, checked: bool = False) -> Dataset:
    """Return the data set of a folder with four IDX files named as MNIST's, gzipped or not.

    Args:
        folder: the folder.
        source_name: key of ``SOURCES``; if empty, the folder gives the name and the labels the classes.
        checked: whether the published checksums must hold.

    Raises:
        UsageError: a file is missing, or is not what it should be.
    """
    found = [_existing(folder, name) for name in IDX_NAMES]
    paths = [path for path in found if path is not None]
    if len(paths) < len(IDX_NAMES):
        lacking = ", ".join(name for name, path in zip(IDX_NAMES, found) if path is None)
        raise UsageError(f"{str(folder)!r} lacks {lacking} (or the same with .gz)")
    source = SOURCES.get(source_name)
    count = len(source.classes) if source else None
    contents = [file.content for file in source.files] if source and checked else [""] * len(paths)
    train = read_idx_split(paths[0], paths[1], count, (contents[0], contents[1]))
    test = read_idx_split(paths[2], paths[3], count, (contents[2], contents[3]))
    if train.shape != test.shape:
        here, there = shape_text(test.shape[1:]), shape_text(train.shape[1:])
        raise refused(paths[2], f"its images have {here} pixels, but those of {paths[0].name} {there}")
    last = int(max(train.labels.max(), test.labels.max()))
    classes = source.classes if source else tuple(map(str, range(last + 1)))
    return Dataset(source_name or folder.resolve().name, classes, train, test)


def _read(name: str, folder: Path, *, checked: bool, options: ImageOptions) -> Dataset | None:
    """Return a known data set from one folder, None if it is not there."""
    if name == "cifar10":
        return _read_cifar10(folder, checked=checked, options=options)
    options.refuse(name)
    if _missing(SOURCES[name], folder):
        return None
    return idx_folder(folder, name, checked=checked)


def _read_cifar10(folder: Path, *, checked: bool, options: ImageOptions) -> Dataset | None:
    """Return CIFAR-10 in the first of its forms that a folder has, None if it has none."""
    source = SOURCES["cifar10"]
    archive = folder / CIFAR10_ARCHIVE
    if archive.is_file():
        options.refuse("cifar10")
        splits = read_cifar10_archive(archive, source.files[0].md5 if checked else "")
        return Dataset("cifar10", source.classes, *splits)
    for unpacked in (folder / UNPACKED, folder):
        if any((unpacked / file).is_file() for file in (*TRAINING, TEST)):
            options.refuse("cifar10")
            return Dataset("cifar10", source.classes, *read_cifar10_folder(unpacked))
    if not (folder / "train").is_dir():
        return None
    found = read_image_folder(folder, options.image_size, options.channels)
    if foreign := sorted(set(found.classes) - set(source.classes)):
        raise UsageError(
            f"{str(folder / 'train')!r} has {foreign[0]!r}, no class of CIFAR-10: {', '.join(source.classes)}"
        )
    size = f"{len(found.train):,} training and {len(found.test):,} test images of {len(found.classes)} classes"
    return replace(found, name="cifar10", note="; ".join(filter(None, (f"image files: {size}", found.note))))


def _missing(source: Source, folder: Path) -> tuple[RemoteFile, ...]:
    """Return the files of a data set that a folder lacks; files with a ``content`` may be there without ``.gz``."""
    return tuple(
        file
        for file in source.files
        if not (_existing(folder, file.name.removesuffix(".gz")) if file.content else (folder / file.name).is_file())
    )


def _existing(folder: Path, name: str) -> Path | None:
    """Return the file of this name with or without ``.gz``, None if there is neither."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)
