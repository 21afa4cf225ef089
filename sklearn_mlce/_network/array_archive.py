"""Archive of named arrays, as `numpy.savez` writes it, read without trust in what it says.

Sizes are compared with that of the file before anything is allocated, so that no header makes a
process ask for more memory than the file has bytes.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

_SUFFIX = ".npy"
_LONGEST_HEADER = 10_000


class Damaged(Exception):
    """Bytes that are no archive, or one that contradicts itself."""


class Header(NamedTuple):
    """What an array is, by its archive."""

    shape: tuple[int, ...]
    dtype: np.dtype


class ArrayArchive:
    """Arrays of an open file, by name, whose headers alone have been read.

    Parameters
    ----------
    stream : binary file
        Open, and kept so by whoever opened it.

    Raises
    ------
    Damaged
        If the bytes are no archive of arrays of numbers and text.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._n_bytes = os.fstat(stream.fileno()).st_size
        try:
            self._archive = zipfile.ZipFile(stream)
            self.headers = {
                info.filename.removesuffix(_SUFFIX): self._header(info)
                for info in self._archive.infolist()
            }
        except Damaged:
            raise
        except Exception as error:  # whatever zipfile and NumPy make of any bytes
            raise Damaged(f"{type(error).__name__}: {error}") from error
        if len(self.headers) < len(self._archive.infolist()):
            raise Damaged("it holds a name twice")

    def _header(self, info: zipfile.ZipInfo) -> Header:
        """Read the header of a member, and compare its size with that of the member."""
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not info.filename.endswith(_SUFFIX) or not stored or info.file_size > self._n_bytes:
            raise Damaged(f"{info.filename!r} is compressed, not an array, or larger than the file")
        with self._archive.open(info) as member:
            version = npy.read_magic(member)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(member, max_header_size=_LONGEST_HEADER)
            begun = member.tell()
        if dtype.hasobject or dtype.kind not in "biufU" or min(shape, default=0) < 0:
            raise Damaged(f"{info.filename!r} has dtype {dtype} and shape {shape}")
        if begun + prod(shape) * dtype.itemsize != info.file_size:
            raise Damaged(f"{info.filename!r} is not as long as shape {shape} of {dtype} needs")
        return Header(shape, dtype)

    def load(self, name: str) -> np.ndarray:
        """Read an array.

        Raises
        ------
        Damaged
            If there is none of this name, or its checksum is another.
        """
        try:
            with self._archive.open(name + _SUFFIX) as member:
                return npy.read_array(member, allow_pickle=False, max_header_size=_LONGEST_HEADER)
        except Exception as error:
            raise Damaged(f"{type(error).__name__}: {error}") from error


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading that is no link, pipe or device.

    Raises
    ------
    Damaged
        If it is one.
    OSError
        If it is not there, or may not be read.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise Damaged("it is a link or a special file")
    # A pipe that takes its place now does not block, and is no regular file either.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    stream = os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise Damaged("it is a special file")
    return stream


def write_archive(stream: IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by their names, to the disk."""
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    stream.flush()
    os.fsync(stream.fileno())


def differences(headers: Mapping[str, Header], expected: Mapping[str, Header]) -> list[Any]:
    """Sentences about names, shapes and dtypes of some arrays that are not those expected."""
    found = [f"no array {name!r}" for name in expected if name not in headers]
    for name, header in headers.items():
        if name not in expected:
            found.append(f"an array {name!r} that no part of the network has")
        elif header != expected[name]:
            wanted = expected[name]
            found.append(
                f"{name!r} of shape {header.shape} in {header.dtype}, where the network has shape "
                f"{wanted.shape} in {wanted.dtype}"
            )
    return found
