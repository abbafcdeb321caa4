"""Downloads against a web server of our own: interrupted and continued, damaged, missing; and where none may happen."""

import errno
import hashlib
import http.server
import io
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from datamodules.catalogue import DATA_SETS
from experiments import prefetch
from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.weights.download import download

CONTENT = bytes(i * 7 % 251 for i in range(3_000_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``files``; knows ranges unless told otherwise; may break off after some bytes."""

    files: dict[str, bytes] = {}
    headers_sent: dict[str, str] = {"Content-Type": "application/octet-stream"}
    says_length = True
    ranges = True
    break_after: int | None = None
    asked: list[str | None] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        if self.says_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.break_after])

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch) -> Iterator[type[Handler]]:
    """A fresh handler class; its ``url`` is where it listens."""
    monkeypatch.setenv("no_proxy", "*")
    for name in ("MMDIFF_OFFLINE", "HF_HUB_OFFLINE", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    handler = type("Fresh", (Handler,), {"files": {"/file.pth": CONTENT}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        handler.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield handler
        listening.shutdown()
        thread.join()


def fetch(server, path: Path, sha256: str = SHA256, size: int | None = None) -> list[tuple[int, int | None]]:
    told: list[tuple[int, int | None]] = []
    download(
        f"{server.url}/file.pth",
        path,
        sha256=sha256,
        size=size,
        progress=lambda done, total: told.append((done, total)),
    )
    return told


def test_a_whole_file_arrives_under_its_name(server, tmp_path) -> None:
    told = fetch(server, tmp_path / "new" / "file.pth")
    assert (tmp_path / "new" / "file.pth").read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["file.pth"]
    assert told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(server, tmp_path, ranges) -> None:
    server.break_after, server.ranges = 1_200_000, ranges
    path = tmp_path / "file.pth"
    with pytest.raises(ValueError, match=r"1,200,000 of 3,000,000 bytes.*run the same command again to go on"):
        fetch(server, path)
    assert not path.exists()
    assert (tmp_path / "file.pth.part").read_bytes() == CONTENT[:1_200_000]
    server.break_after = None
    told = fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1200000-"]
    assert told[0][0] > 1_200_000 if ranges else told[0][0] <= 1 << 20


def test_a_download_killed_before_the_rename_needs_nothing_more(server, tmp_path) -> None:
    (tmp_path / "file.pth.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path / "file.pth") == []
    assert (tmp_path / "file.pth").read_bytes() == CONTENT


def test_another_file_is_refused_and_deleted(server, tmp_path) -> None:
    server.files["/file.pth"] = b"<html>Quota exceeded</html>"
    with pytest.raises(ValueError, match=rf"has sha256 [0-9a-f]{{12}}\.\.\., the published file {SHA256[:12]}"):
        fetch(server, tmp_path / "file.pth")
    with pytest.raises(ValueError, match="27 bytes came, the published file has 3,000,000"):
        fetch(server, tmp_path / "file.pth", sha256="", size=3_000_000)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_and_a_server_that_is_not_there(server, tmp_path) -> None:
    del server.files["/file.pth"]
    with pytest.raises(ValueError, match=r"file\.pth: the server answers 404"):
        fetch(server, tmp_path / "file.pth")
    with pytest.raises(ValueError, match="run the same command again"):
        download("http://127.0.0.1:9/file.pth", tmp_path / "file.pth", progress=lambda done, total: None)


@pytest.fixture
def table(server, monkeypatch, tmp_path) -> Path:
    """A table of one file, one folder and one file without an address; the folder where they go."""
    single = weights.Weight(
        name="single", file="file.pth", purpose="a test", source="a server", license="", url=f"{server.url}/file.pth",
        sha256=SHA256,
    )  # fmt: skip
    members = tuple(
        weights.FolderFile(file=n, sha256=hashlib.sha256(n.encode()).hexdigest(), size=len(n))
        for n in ("a.json", "b.bin")
    )
    server.files |= {f"/model/{m.file}": m.file.encode() for m in members}
    folder = weights.Weight(
        name="folder",
        file="model",
        purpose="a test",
        source="a hub",
        license="",
        url=f"{server.url}/model",
        members=members,
    )
    by_hand = weights.Weight(name="by-hand", file="own.pth", purpose="a test", source="its author", license="")
    for module in (weights, sys.modules[weights.find.__module__]):
        monkeypatch.setattr(module, "WEIGHTS", (single, folder, by_hand))
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_weights_by_name_go_where_they_are_looked_for(table, server, capsys) -> None:
    prefetch.main(prefetch.PrefetchFlags(names=("single", "folder")))
    assert weights.require("single") == table / "file.pth"
    assert weights.require("folder") == table / "model"
    assert (table / "model" / "b.bin").read_bytes() == b"b.bin"
    assert "checksum right" in capsys.readouterr().out
    before = len(server.asked)
    prefetch.main(prefetch.PrefetchFlags(names=("single", "folder")))
    assert len(server.asked) == before
    (table / "file.pth").write_bytes(b"half")
    with pytest.raises(ValueError, match="is not the published file; delete it"):
        prefetch.main(prefetch.PrefetchFlags(names=("single",)))


def test_what_has_no_address_says_where_to_get_it_and_an_unknown_name_lists_the_known(table) -> None:
    with pytest.raises(ValueError, match=r"own\.pth has no direct address: get it from its author"):
        prefetch.main(prefetch.PrefetchFlags(names=("by-hand",)))
    with pytest.raises(ValueError, match="Unknown file 'resnet': choose from single, folder, by-hand, cifar10"):
        prefetch.main(prefetch.PrefetchFlags(names=("resnet",)))


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("MMDIFF_OFFLINE", "MMDIFF_OFFLINE is set"),
        ("HF_HUB_OFFLINE", "HF_HUB_OFFLINE is set"),
        ("SLURM_JOB_ID", "SLURM job 1"),
    ],
)
def test_offline_and_on_a_compute_node_the_missing_file_is_named_at_once(
    table, server, monkeypatch, variable, words
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(FileNotFoundError, match=rf"file\.pth is missing, and .*{words}"):
        prefetch.main(prefetch.PrefetchFlags(names=("single",)))
    with pytest.raises(FileNotFoundError, match=r"cifar-10-python\.tar\.gz is missing"):
        prefetch.main(prefetch.PrefetchFlags(names=("cifar10",), data=table))
    assert server.asked == []


def archive(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in names.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_data_set_is_unpacked_whole_and_fetched_once(server, tmp_path) -> None:
    server.files["/set.tar.gz"] = content = archive({"set/a.txt": b"a", "set/sub/b.txt": b"b"})
    sha256 = hashlib.sha256(content).hexdigest()
    entry = prefetch.Archive(url=f"{server.url}/set.tar.gz", contains="set", sha256=sha256)
    for _ in range(2):
        prefetch.fetch_archive(entry, tmp_path)
    assert (tmp_path / "set" / "sub" / "b.txt").read_text() == "b"
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert len(server.asked) == 1


def archived(server, content: bytes, sha256: str = "") -> prefetch.Archive:
    server.files["/set.tar.gz"] = content
    return prefetch.Archive(url=f"{server.url}/set.tar.gz", contains="data/set", sha256=sha256)


def test_what_else_an_archive_or_a_killed_attempt_leaves_does_not_stay(server, tmp_path) -> None:
    """More entries raised though the data was in its place, and what a killed attempt left was mixed in (C10, D13)."""
    old = tmp_path / "data" / ".set.unpacking" / "set"
    old.mkdir(parents=True)
    (old / "old.txt").write_text("x")
    prefetch.fetch_archive(archived(server, archive({"set/a.txt": b"a", "README": b"x", "more/b.txt": b"b"})), tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == [
        "data",
        "data/set",
        "data/set/a.txt",
    ]


def damaged(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 255]) + content[41:]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            archive({"other/a.txt": b"a", "README": b"x"}),
            "holds README, other, not the folder set: is it the right archive",
        ),
        (archive({}), "holds nothing, not the folder set"),
        (archive({"set": b"a"}), "holds set, not the folder set"),
        (archive({"set/a.txt": bytes(range(256)) * 9})[:-30], "cannot be unpacked .*; delete it"),
        (damaged(archive({"set/a.txt": bytes(range(256)) * 9})), "cannot be unpacked .*; delete it"),
        (b"<html>Log in</html>", "cannot be unpacked .*; delete it"),
        (b"", "cannot be unpacked .*; delete it"),
    ],
    ids=["another folder", "nothing", "a file", "cut off", "damaged", "a page", "empty"],
)
def test_an_archive_of_something_else_is_named_and_leaves_nothing(server, tmp_path, content, words) -> None:
    entry = archived(server, content)
    path = tmp_path / "data" / "set.tar.gz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path}:? {words}"):
        prefetch.fetch_archive(entry, tmp_path)
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_no_fault_of_the_archive(server, tmp_path, monkeypatch) -> None:
    def full(self, path: Path, **_: object) -> None:
        (path / "set").mkdir(parents=True)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extractall", full)
    content = archive({"set/a.txt": b"a"})
    with pytest.raises(OSError, match="No space left on device"):
        prefetch.fetch_archive(archived(server, content), tmp_path)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["set.tar.gz"]
    monkeypatch.undo()
    monkeypatch.setenv("MMDIFF_OFFLINE", "1")  # what is there needs no network
    prefetch.fetch_archive(archived(server, content), tmp_path)
    assert (tmp_path / "data" / "set" / "a.txt").read_text() == "a"


def test_an_archive_that_is_there_is_compared(server, tmp_path) -> None:
    path, right = tmp_path / "data" / "set.tar.gz", archive({"set/a.txt": b"a"})
    path.parent.mkdir()
    path.write_bytes(archive({"set/a.txt": b"another"}))
    entry = archived(server, right, hashlib.sha256(right).hexdigest())
    with pytest.raises(UserError, match=f"{path} is not the published archive; delete it"):
        prefetch.fetch_archive(entry, tmp_path)
    assert not (tmp_path / "data" / "set").exists()


@pytest.mark.parametrize("start", [b"", b"old"])
@pytest.mark.parametrize(
    ("kind", "says_length"),
    [("text/html; charset=utf-8", True), ("application/json", True), ("application/octet-stream", False)],
)
def test_the_page_of_a_portal_is_no_file(server, tmp_path, kind, says_length, start) -> None:
    """Where no checksum is known (FaRL, a parser, night2day), such a page was kept as the file (D13)."""
    server.headers_sent, server.says_length = {"Content-Type": kind}, says_length
    part = tmp_path / "file.pth.part"
    part.write_bytes(start)
    with pytest.raises(
        UserError, match=r"not a file to keep; does this network ask to log in first\? Nothing was written"
    ):
        fetch(server, tmp_path / "file.pth", sha256="")
    assert part.read_bytes() == start
    assert list(tmp_path.iterdir()) == [part]
    fetch(server, tmp_path / "whole.pth")  # a checksum says more than the server


def test_a_planted_part_does_not_lead_elsewhere(server, tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "file.pth.part").symlink_to(tmp_path / "mine.txt")
    fetch(server, tmp_path / "file.pth")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert not (tmp_path / "file.pth").is_symlink()


def test_an_archive_that_leaves_its_folder_is_refused(server, tmp_path) -> None:
    server.files["/set.tar.gz"] = archive({"set/a.txt": b"a", "../outside.txt": b"x"})
    entry = prefetch.Archive(url=f"{server.url}/set.tar.gz", contains="data/set")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        prefetch.fetch_archive(entry, tmp_path)
    assert not (tmp_path / "data" / "set").exists()
    assert not (tmp_path / "outside.txt").exists()


def test_the_list_names_everything(capsys) -> None:
    prefetch.main(prefetch.PrefetchFlags())
    printed = capsys.readouterr().out
    for name in [w.name for w in weights.WEIGHTS] + [entry.name for entry in DATA_SETS]:
        assert f"{name} " in printed
