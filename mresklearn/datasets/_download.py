"""Downloading one file so that an interrupted connection costs only the missing part."""

import http.client
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from ..exceptions import DataError

__all__ = ["download_file"]

CHUNK_BYTES = 1 << 18
# answers that a later try can change: timeouts, rate limits and troubles of the server
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Incomplete(OSError):
    """The connection ended before the file did."""


def download_file(url, path, *, n_retries=3, pause=1.0, timeout=60.0):
    """Download a file completely or not at all, resuming what an earlier try has left.

    The bytes go to ``<path>.part``, which takes the final name only when its length is the one that
    the server announced; a ``.part`` of an earlier call is continued by an HTTP range request.

    Parameters
    ----------
    url : str
        Address of the file.
    path : str or path-like
        Where it is put; its folder is made when needed.
    n_retries : int, default=3
        Further tries after a failed one.
    pause : float, default=1.0
        Seconds before the first further try, doubled for each next one.
    timeout : float, default=60.0
        Seconds without an answer after which a try has failed.

    Returns
    -------
    path : Path
        The complete file.

    Raises
    ------
    DataError
        If the file is not there or cannot be had after all tries.

    Examples
    --------
    >>> import tempfile
    >>> temporary = tempfile.TemporaryDirectory()
    >>> folder = Path(temporary.name)
    >>> _ = (folder / "original.txt").write_text("map")
    >>> copy = download_file((folder / "original.txt").as_uri(), folder / "copies" / "copy.txt")
    >>> copy.read_text()
    'map'
    >>> temporary.cleanup()
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    for n_failed in range(n_retries + 1):
        try:
            if _fetch(url, part, timeout):
                os.replace(part, path)
                return path
            last_error = _Incomplete("the partial file did not fit and was discarded")
        except urllib.error.HTTPError as error:
            error.close()
            last_error = error
            if error.code not in TRY_AGAIN:
                break
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
            last_error = error
        if n_failed < n_retries:
            time.sleep(pause * 2**n_failed)
    raise DataError(
        f"{url} could not be downloaded ({last_error}). Check the connection and call again, which "
        f"continues where this stopped; or fetch the file by other means and put it at {path}."
    ) from last_error


def _fetch(url, part, timeout):
    """Fetch what is missing of the partial file; False asks for a fresh start."""
    n_have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "mresklearn"})
    if n_have:
        request.add_header("Range", f"bytes={n_have}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        # nothing is left to send: either the part is the whole file, or it belongs to another one
        if _total_length(error.headers) == n_have:
            return True
        part.unlink()
        return False
    with response:
        resumed = response.status == 206
        if resumed and _range_start(response.headers) != n_have:
            part.unlink()
            return False
        # a server without range requests sends the whole file again
        expected = _total_length(response.headers) if resumed else _length(response.headers)
        with open(part, "ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
    n_have = part.stat().st_size
    if expected is not None and n_have > expected:
        part.unlink()
        return False
    if expected is not None and n_have < expected:
        raise _Incomplete(f"the connection ended after {n_have} of {expected} bytes")
    return True


def _length(headers):
    text = headers.get("Content-Length")
    return int(text) if text and text.isdigit() else None


def _total_length(headers):
    """Length of the whole file in ``Content-Range: bytes 5-9/10`` or ``bytes */10``."""
    total = headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _range_start(headers):
    start = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0].strip()
    return int(start) if start.isdigit() else None
