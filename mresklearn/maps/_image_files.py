"""Open image files: header checks, fast decompression, and errors that name the file."""

from __future__ import annotations

import gzip
import io
import zlib
from os import PathLike, fspath
from os.path import exists
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from ..exceptions import DataError
from ._grid import Grid, to_canonical

_DAMAGED: tuple[type[Exception], ...] = (
    OSError, EOFError, zlib.error, ImageFileError, ValueError, HeaderDataError,
)  # fmt: skip
try:  # an optional package that halves the time of reading .nii.gz
    from isal import igzip, isal_zlib
except ImportError:
    decompress = gzip.decompress
else:
    decompress = igzip.decompress
    _fast_error: Any = isal_zlib.error
    _DAMAGED = (*_DAMAGED, _fast_error)

_NIFTI_2_HEADER_BYTES = 540
# Endings that hold an image whole, so that its header need not be read to know its files.
_ONE_FILE = (".nii", ".nii.gz", ".mgh", ".mgz")


def load_volume(source: Any) -> tuple[np.ndarray, Grid]:
    """Return the values of an image in RAS+ order as float32, and its grid.

    Parameters
    ----------
    source : path or nibabel image
        One 3-D volume.

    Returns
    -------
    values : ndarray of shape (x, y, z), float32
        As stored, scaling applied; no unit is converted.
    grid : Grid
        Where they lie.

    Raises
    ------
    DataError
        If the file is absent, damaged, no image, or not one volume.
    """
    image = _read_whole(source) if _is_gzipped_nifti(source) else open_image(source)
    check_one_volume(image, source)
    try:
        data = np.asanyarray(image.dataobj, dtype=np.float32)
    except _DAMAGED as error:
        raise _damaged(source, error) from error
    return to_canonical(data.reshape(image.shape[:3]), image.affine), Grid.of_image(image)


def open_image(source: Any) -> Any:
    """Return a nibabel image for a path or an image, header checked, values not yet read."""
    image: Any = source
    if not isinstance(source, nib.spatialimages.SpatialImage):
        try:
            image = nib.load(source)
        except FileNotFoundError as error:
            raise absent_file(source) from error
        except _DAMAGED as error:
            raise _not_an_image(source, error) from error
    check_one_volume(image, source)
    return image


def check_one_volume(image: Any, source: Any) -> None:
    """Raise unless an image is one 3-D volume, perhaps with trailing axes of length one."""
    if len(image.shape) < 3 or int(np.prod(image.shape[3:])) != 1:
        raise DataError(
            f"{describe(source)} has shape {image.shape}; a map is one 3-D volume. "
            "Split series into one file per volume."
        )


def files_of(path: Any) -> list[Any]:
    """Return every file of an image: a pair such as .hdr and .img has its voxels in the second.

    Raises
    ------
    DataError
        If the path has an ending that images of several files may have, and is no image.
    """
    if fspath(path).lower().endswith(_ONE_FILE):
        return [path]
    parts = open_image(path).file_map
    named = [parts[part].filename for part in sorted(parts)]
    return [name for name in named if name is not None and exists(name)]


def describe(source: Any) -> str:
    """Return the name under which errors speak of a path or an image in memory."""
    if isinstance(source, str | PathLike):
        return str(source)
    return source.get_filename() or "an image in memory"


def absent_file(source: Any) -> DataError:
    """Return the error for a file that is not there."""
    return DataError(f"There is no file {source}. Correct the path, or leave this row out.")


def unreadable_file(error: OSError) -> DataError:
    """Return the error for what is there but cannot be read, such as a folder."""
    return DataError(
        f"{error.filename} cannot be read ({error.strerror}). Give a file that you may read, or "
        "leave this row out."
    )


def _is_gzipped_nifti(source: Any) -> bool:
    return isinstance(source, str | PathLike) and fspath(source).endswith(".nii.gz")


def _read_whole(path: Any) -> Any:
    """Decompress a .nii.gz at once: several times faster than nibabel's streaming."""
    try:
        with open(path, "rb") as handle:
            compressed = handle.read()
        content = decompress(compressed)
    except FileNotFoundError as error:
        raise absent_file(path) from error
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    sizes = {int.from_bytes(content[:4], order) for order in ("little", "big")}
    image_class = nib.Nifti2Image if _NIFTI_2_HEADER_BYTES in sizes else nib.Nifti1Image
    try:
        return image_class.from_stream(io.BytesIO(content))
    except _DAMAGED as error:
        raise _not_an_image(path, error) from error


def _damaged(source: Any, error: Exception) -> DataError:
    return DataError(
        f"{describe(source)} is truncated or corrupt ({error}). Copy or convert it again."
    )


def _not_an_image(source: Any, error: Exception) -> DataError:
    return DataError(
        f"{describe(source)} cannot be opened as an image ({error}). Give NIfTI files, whole ones."
    )
