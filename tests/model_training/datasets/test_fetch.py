"""Downloads from a server on loopback, and copies from a folder."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from model_training.datasets import DATASETS, Dataset, DatasetError, File
from model_training.datasets.fetch import fetch

ONE, TWO = b"a;b\n1;2\n3;4\n", b"a;b\n5;6\n"


class Server:
    """Serve `files` by path and record the requested paths."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                body = outer.files.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write((body or b"")[: 5 if self.path in outer.cut else None])

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.http.server_port}/data/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    serving = Server()
    thread = threading.Thread(target=serving.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    files = (File("g/1.csv", hashlib.sha256(ONE).hexdigest(), 2), File("g/2.csv"))
    monkeypatch.setitem(DATASETS, "plain", Dataset("t", serving.base, "", "l", "c", 1, files))
    monkeypatch.setitem(DATASETS, "zipped", Dataset("t", serving.base, "all+of+it.zip", "l", "c", 1, (File("1.csv", files[0].sha256, 2),)))
    serving.files = {"/data/g/1.csv": ONE, "/data/g/2.csv": TWO}
    yield serving
    serving.http.shutdown()
    serving.http.server_close()
    thread.join()


def test_fetch_verifies_and_skips_complete_files(server: Server, tmp_path: Path) -> None:
    output: list[str] = []
    got = fetch("plain", tmp_path, log=output.append)
    assert (tmp_path / "plain/g/1.csv").read_bytes() == ONE and (tmp_path / "plain/g/2.csv").read_bytes() == TWO
    assert [file.state for file in got.files] == ["complete", "unverified"]
    assert got.state == "unverified" and not got.partial and "plain: unverified" in got.notes[0]
    assert any("MB" in line for line in output) and any(line.startswith("g/1.csv: complete") for line in output)
    server.asked.clear()
    fetch("plain", tmp_path)
    assert server.asked == ["/data/g/2.csv"]  # what is complete by its digest is not asked for again


def test_fetch_rejects_wrong_digest(server: Server, tmp_path: Path) -> None:
    server.files["/data/g/1.csv"] = ONE.replace(b"4", b"7")
    with pytest.raises(DatasetError, match="g/1.csv differs from the data set's file: its SHA-256 is"):
        fetch("plain", tmp_path)
    assert not list(tmp_path.rglob("*.csv")) and not list(tmp_path.rglob("*.part"))


def test_fetch_rejects_truncated_response(server: Server, tmp_path: Path) -> None:
    server.cut.add("/data/g/1.csv")
    with pytest.raises(DatasetError, match=r"g/1.csv(: connection closed after 5 of 12 bytes| cannot be read)"):
        fetch("plain", tmp_path)
    assert not list(tmp_path.rglob("*.csv"))


@pytest.mark.parametrize("nested", [False, True])
def test_fetch_unpacks_nested_zip(server: Server, tmp_path: Path, nested: bool) -> None:
    content = packed({"deep/1.csv": ONE})
    server.files["/data/all+of+it.zip"] = packed({"inner.zip": content}) if nested else content
    assert fetch("zipped", tmp_path).state == "complete"
    assert (tmp_path / "zipped/1.csv").read_bytes() == ONE


@pytest.mark.parametrize(("content", "expected"), [(b"no zip", "not a complete zip"), (None, "returned 404")])
def test_fetch_reports_missing_or_invalid_zip(server: Server, tmp_path: Path, content: bytes | None, expected: str) -> None:
    if content is not None:
        server.files["/data/all+of+it.zip"] = content
    with pytest.raises(DatasetError, match=expected):
        fetch("zipped", tmp_path)


def test_fetch_reports_file_missing_in_zip(server: Server, tmp_path: Path) -> None:
    server.files["/data/all+of+it.zip"] = packed({"other.csv": TWO})
    with pytest.raises(DatasetError, match=r"has no file 1.csv; it has other.csv"):
        fetch("zipped", tmp_path)


def packed(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return whole.getvalue()


def test_fetch_uses_mirror_and_reports_unreachable_server(server: Server, tmp_path: Path) -> None:
    server.files = {f"/mirror{path[5:]}": content for path, content in server.files.items()}
    fetch("plain", tmp_path, base=server.base.replace("data/", "mirror"))
    assert server.asked == ["/mirror/g/1.csv", "/mirror/g/2.csv"]
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(DatasetError, match="cannot be read .*--from"):
        fetch("zipped", tmp_path)
    with pytest.raises(DatasetError, match="not an HTTP address"):
        fetch("zipped", tmp_path, base="file:///etc")


def test_fetch_from_folder_reports_missing_files(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "had" / "plain" / "g"
    source.mkdir(parents=True)
    (source / "1.csv").write_bytes(ONE[:8])
    got = fetch("plain", tmp_path / "out", source=tmp_path / "had")
    assert [file.state for file in got.files] == ["partial"] and got.missing == ("g/2.csv",) and server.asked == []
    with pytest.raises(DatasetError, match="has no file of plain"):
        fetch("plain", tmp_path / "out", source=tmp_path / "had" / "plain" / "g")


def test_fetch_lists_known_names() -> None:
    with pytest.raises(DatasetError, match="ai4i, cmapss, skab"):
        fetch("iris", Path())
