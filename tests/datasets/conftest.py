"""A folder of maps with its table, and a small file server that knows range requests."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import nibabel as nib
import numpy as np
import pytest
from synthetic import MNI_2MM_MIRRORED, brain


@pytest.fixture
def make_study(tmp_path):
    """Write a table and empty map files; returns the folder."""

    def make(table, files=(), name="people.csv"):
        (tmp_path / name).write_text(table, encoding="utf-8")
        for file in files:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


@pytest.fixture
def write_brain(tmp_path):
    """Write a small random brain map; every call another brain, repeatable over runs."""
    rng = np.random.default_rng(0)

    def write(
        name, *, mean=3.0, background=0.0, affine=MNI_2MM_MIRRORED, codes=(1, 1), shape=(12, 14, 10)
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.full(shape, background, np.float32)
        inside = brain(shape)
        values[inside] = mean * rng.uniform(0.8, 1.2, inside.sum())
        image = nib.Nifti1Image(values, affine)
        image.set_sform(affine, codes[0])
        image.set_qform(affine, codes[1])
        image.to_filename(path)
        return path

    return write


@pytest.fixture
def write_pool(tmp_path):
    """Write a pool file; returns its path."""

    def write(text, name="pool.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


class FileServer(ThreadingHTTPServer):
    """Serves ``files`` (path -> bytes) and can misbehave as real servers do."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {}
        self.requests = []  # (path, Range header) of every request
        self.knows_ranges = True
        self.wrong_range = False
        self.cut_after = []  # bytes after which the next answers break off
        self.failures = []  # status codes of the next answers

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server, path, asked = self.server, unquote(self.path).lstrip("/"), self.headers.get("Range")
        server.requests.append((self.path, asked))
        if server.failures:
            return self.send_error(server.failures.pop(0))
        if path not in server.files:
            return self.send_error(404)
        content, start = server.files[path], 0
        if asked and server.knows_ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            start += server.wrong_range
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return self.wfile.write(body[: server.cut_after.pop(0)] if server.cut_after else body)


@pytest.fixture
def server():
    with FileServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def no_waiting(monkeypatch):
    """Retry at once."""
    monkeypatch.setattr("mresklearn.datasets._download.time.sleep", lambda seconds: None)
