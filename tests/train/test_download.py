"""Downloads from a local server: mirrors, retries, checksums, cut and silent connections, concurrent downloads."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archcost.train import download as module
from archcost.train.download import DownloadError, download
from archcost.train.sources import RemoteFile
from tests.train.files import md5, remote
from tests.train.server import Answer, Served, serving

CONTENT = bytes(range(256)) * 2000
FILE = remote("digits.gz", CONTENT)
PATH = "/a/digits.gz"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


def get(served: Served, folder: Path, *files: RemoteFile) -> None:
    """Download from the mirrors ``a`` and ``b`` of the server."""
    download("Digits", files or (FILE,), [f"{served.address}a/", f"{served.address}b/"], folder)


def refused(served: Served, folder: Path) -> str:
    """Return what the download that fails says; nothing may be left in the folder."""
    with pytest.raises(DownloadError) as caught:
        get(served, folder)
    assert list(folder.iterdir()) == []
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("digits.gz could not be downloaded (127.0.0.1:")
    return text


def test_a_file_is_downloaded_into_a_new_folder_and_said_so(
    served: Served, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    served.answers[PATH] = [Answer(CONTENT)]
    folder = tmp_path / "deep" / "mnist"
    get(served, folder)
    assert (folder / "digits.gz").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["digits.gz"]
    assert served.requests == [PATH]
    assert capfd.readouterr().err == f"archcost: downloading Digits (0.5 MB) to {folder}\n"


def test_several_files_are_announced_once(served: Served, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = remote("other.gz", b"other")
    served.answers |= {PATH: [Answer(CONTENT)], "/a/other.gz": [Answer(b"other", length=None)]}
    get(served, tmp_path, FILE, other)
    assert (tmp_path / "other.gz").read_bytes() == b"other"
    assert capfd.readouterr().err.count("downloading") == 1


def test_an_old_file_is_replaced(served: Served, tmp_path: Path) -> None:
    (tmp_path / "digits.gz").write_bytes(b"damaged")
    served.answers[PATH] = [Answer(CONTENT)]
    get(served, tmp_path)
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


def test_a_redirect_is_followed(served: Served, tmp_path: Path) -> None:
    served.answers |= {PATH: [Answer(b"", 302, location="/moved")], "/moved": [Answer(CONTENT)]}
    get(served, tmp_path)
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("first", "requests"),
    [
        (Answer(b"", 404), 1),
        (Answer(CONTENT[:-1] + b"?"), 1),
        (Answer(CONTENT[:-1]), 1),
        (Answer(CONTENT * 2, length=None), 1),
        (Answer(b"", 503), 2),
        (Answer(CONTENT[:1000], length=len(CONTENT)), 2),
        (Answer(CONTENT[:1000], length=None), 2),
    ],
    ids=["404", "checksum", "length", "endless", "503", "cut", "cut without length"],
)
def test_what_goes_wrong_at_one_mirror_is_made_good_by_the_next(
    served: Served, tmp_path: Path, first: Answer, requests: int
) -> None:
    served.answers |= {PATH: [first], "/b/digits.gz": [Answer(CONTENT)]}
    get(served, tmp_path)
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["digits.gz"]
    assert served.requests == [PATH] * requests + ["/b/digits.gz"]


def test_a_cut_connection_is_tried_again_at_the_same_mirror(served: Served, tmp_path: Path) -> None:
    served.answers[PATH] = [Answer(CONTENT[:1000], length=len(CONTENT)), Answer(CONTENT)]
    get(served, tmp_path)
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT
    assert served.requests == [PATH, PATH]


def test_all_that_happened_is_said_in_one_line(served: Served, tmp_path: Path) -> None:
    served.answers |= {PATH: [Answer(b"", 404)], "/b/digits.gz": [Answer(CONTENT[:1000], length=len(CONTENT))]}
    text = refused(served, tmp_path)
    assert "HTTP 404 Not Found; 127.0.0.1" in text
    assert text.endswith("the connection was cut after 1000 of 512000 bytes)")


def test_a_wrong_checksum_is_said(served: Served, tmp_path: Path) -> None:
    wrong = CONTENT[:-1] + b"?"
    served.answers |= {PATH: [Answer(wrong)], "/b/digits.gz": [Answer(b"<html>sign in</html>")]}
    text = refused(served, tmp_path)
    assert f"wrong checksum: MD5 {md5(wrong)}, not {md5(CONTENT)}; " in text
    assert text.endswith("the file has 20 bytes, not 512000)")


def test_a_stalled_download_is_given_up(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 0.1)
    monkeypatch.setattr(module, "CHUNK", 1000)
    served.answers[PATH] = [Answer(CONTENT[:1000], length=len(CONTENT), wait=0.3)]
    served.answers["/b/digits.gz"] = [Answer(b"", 404)]
    assert "nothing came for 0.1 s after 1000 of 512000 bytes; " in refused(served, tmp_path)


def test_a_network_that_does_not_answer_costs_little_and_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(module, "STALL_SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never says a word
        mirrors = [f"http://127.0.0.1:{silent.getsockname()[1]}/", f"{served.address}a/"]
        served.answers[PATH] = [Answer(CONTENT)]
        start = time.monotonic()
        with pytest.raises(DownloadError, match=r"^other\.gz .*: no answer in 0\.2 s; 127\.0\.0\.1:.*: HTTP 404"):
            download("Digits", [FILE, remote("other.gz", b"other")], mirrors, tmp_path)
        assert time.monotonic() - start < 3
        assert (tmp_path / "digits.gz").read_bytes() == CONTENT
        deadline = time.monotonic() + 10
        while any(thread.name == "archcost-download" for thread in threading.enumerate()):
            assert time.monotonic() < deadline  # the thread that was given up ends by itself
            time.sleep(0.02)


def test_a_late_answer_is_closed(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = socket.getaddrinfo

    def slow(*arguments: object, **keywords: object) -> object:
        time.sleep(0.2)
        return usual(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.02)
    served.answers[PATH] = [Answer(CONTENT)]
    assert refused(served, tmp_path).count("no answer in 0.02 s") == 2
    deadline = time.monotonic() + 10
    while any(thread.name == "archcost-download" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_name_that_is_not_known_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unknown(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(
        DownloadError, match=r"\(one\.test: its name is not known here \(no network\?\); two\.test: its"
    ):
        download("Digits", [FILE, FILE], ["https://one.test/", "http://two.test/"], tmp_path)
    assert asked == ["one.test", "two.test"]


def test_a_mirror_that_cannot_be_reached_is_not_asked_for_the_files_that_follow(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = socket.getaddrinfo
    asked = []

    def partly(host: str, *arguments: object, **keywords: object) -> object:
        asked.append(host)
        if host == "one.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return usual(host, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", partly)
    monkeypatch.setenv("NO_PROXY", "*")
    served.answers |= {PATH: [Answer(CONTENT)], "/a/other.gz": [Answer(b"other")]}
    files = [FILE, remote("other.gz", b"other")]
    download("Digits", files, ["http://one.test/", f"{served.address}a/"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.gz", "other.gz"]
    assert asked == ["one.test", "127.0.0.1", "127.0.0.1"]


def test_a_refused_connection_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DownloadError, match=rf"\(127\.0\.0\.1:{port}: connection refused\)"):
        download("Digits", [FILE], [f"http://127.0.0.1:{port}/"], tmp_path)


def test_a_folder_that_cannot_be_made_is_said(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"^cannot make the folder '.*file.*mnist': "):
        get(served, tmp_path / "file" / "mnist")


def test_a_full_disk_is_said(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.answers[PATH] = [Answer(CONTENT)]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_put", full)
    with pytest.raises(DownloadError, match=r"^cannot write into the folder '.*': No space left on device$"):
        get(served, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_concurrent_downloads_all_end_with_the_whole_file(served: Served, tmp_path: Path) -> None:
    served.answers[PATH] = [Answer(CONTENT)]
    stop = threading.Event()
    seen: set[bytes] = set()
    failures: list[Exception] = []

    def look() -> None:
        while not stop.is_set():
            if (tmp_path / "digits.gz").exists():
                seen.add((tmp_path / "digits.gz").read_bytes())

    def load() -> None:
        try:
            get(served, tmp_path)
        except DownloadError as error:
            failures.append(error)

    watcher = threading.Thread(target=look)
    watcher.start()
    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    assert not failures
    assert seen <= {CONTENT}
    assert [path.name for path in tmp_path.iterdir()] == ["digits.gz"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


def test_progress_is_shown_on_a_terminal_and_wiped(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    served.answers[PATH] = [Answer(CONTENT)]
    get(served, tmp_path)
    text = capsys.readouterr().err
    assert "\rdigits.gz: " in text
    assert "% of 0.5 MB" in text
    assert text.endswith("\r\x1b[K")
