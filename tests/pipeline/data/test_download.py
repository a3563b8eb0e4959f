"""A download is encrypted and checked, goes on where it was cut, and says how far it is, what it waits for and what to do."""

import hashlib
import http.server
import re
import subprocess
import sys
import threading
import time

import pytest
from https_server import Server

from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.data import download

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "DOWNLOADS", tmp_path / "downloads")
    monkeypatch.setattr(download, "PAUSE", 0.01)
    monkeypatch.setattr(download, "CHUNK", 1000)  # bytes; up to so many are lost where a connection is cut
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def left(tmp_path):
    """What a download left, besides the file of its lock."""
    return sorted(path.name for path in (tmp_path / "downloads").iterdir() if not path.name.endswith(".lock"))


def test_a_download_that_fails_names_the_address_and_the_way_round(tmp_path):
    with pytest.raises(UserError, match="could not download https://127.0.0.1:9/.*--config data=FOLDER") as caught:
        download.download("https://127.0.0.1:9/cifar-100-python.tar.gz", "0" * 64)
    assert f"copy it to {tmp_path}/downloads" in str(caught.value)
    assert left(tmp_path) == []


def test_without_internet_the_way_round_is_said(monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="no-such-name.invalid is not found: there is no internet here.* get a.zip elsewhere"):
        download.download("https://no-such-name.invalid/a.zip", SHA)


@pytest.mark.parametrize("address", ("http://127.0.0.1:9/a.zip", "ftp://127.0.0.1/a.zip", "file:///etc/passwd", "a.zip", ""))
def test_nothing_is_downloaded_without_encryption(tmp_path, address):
    with pytest.raises(UserError, match="is no https:// address"):
        download.download(address, "0" * 64)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def server(tmp_path, monkeypatch):
    made = Server(tmp_path, whole)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.certificate))
    yield made
    made.http.shutdown()
    made.http.server_close()


def send(request, body, status=200, sent=None, **headers):
    """Send headers and a body, cut off after `sent` bytes."""
    request.send_response(status)
    for name, value in ({"Content_Length": len(body)} | headers).items():
        if value is not None:
            request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()
    request.wfile.write(body[:sent])


def whole(request):
    send(request, CONTENT)


def cut_at(share):
    return lambda request: send(request, CONTENT, sent=int(share * len(CONTENT)))


def ranged(request, sent=None):
    """As most servers do: from the byte that is asked for."""
    begin = int(re.fullmatch(r"bytes=(\d+)-", request.headers["Range"])[1]) if request.headers["Range"] else 0
    if begin >= len(CONTENT):
        return send(request, b"", 416, Content_Range=f"bytes */{len(CONTENT)}")
    span = f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}"
    send(request, CONTENT[begin:], 206 if begin else 200, sent, Content_Range=span if begin else None)


def status(number):
    return lambda request: send(request, b"<html>no</html>", number)


def stall(request):
    send(request, CONTENT, sent=1000)
    time.sleep(3)


def another_part(request):
    send(request, CONTENT[9:], 206, Content_Range=f"bytes 9-{len(CONTENT) - 1}/{len(CONTENT)}")


HALF = len(CONTENT) // 2
GOOD = {
    "at once": ([whole], 1),
    "busy at first": ([status(503), status(429), whole], 3),
    "without a length": ([lambda request: send(request, CONTENT, Content_Length=None)], 1),
    "cut, then the rest": ([cut_at(0.5), ranged], 2),
    "cut each time": ([lambda request: ranged(request, sent=100_000)], 6),
    "cut, and no ranges": ([cut_at(0.5), whole], 2),
    "cut, then busy": ([cut_at(0.5), status(503), status(503), ranged], 4),
    "another part than was asked for": ([cut_at(0.5), another_part, ranged], 3),
    "without a length and cut, then the rest": ([lambda r: send(r, CONTENT, sent=HALF, Content_Length=None), ranged], 2),
    "without a length and cut, and no ranges": ([lambda r: send(r, CONTENT, sent=HALF, Content_Length=None), whole], 2),
    "another part at first": ([another_part, whole], 2),
    "said to be packed, and it is not": ([lambda request: send(request, CONTENT, Content_Encoding="gzip")], 1),
    "of other bytes at first": ([lambda request: send(request, b"x" * len(CONTENT)), whole], 2),
    "a length that is too small": ([lambda request: send(request, CONTENT, Content_Length=HALF), whole], 2),
}


@pytest.mark.parametrize("answers, count", GOOD.values(), ids=GOOD)
def test_a_download_comes_whole_in_the_end(tmp_path, server, answers, count):
    server.answers = answers
    path = download.download(server.address, SHA)
    assert path.read_bytes() == CONTENT and path == tmp_path / "downloads/an-archive.tar.gz"
    assert len(server.asked) == count and left(tmp_path) == ["an-archive.tar.gz"]
    assert download.download(server.address, SHA) == path and len(server.asked) == count, "what is here is not asked for"


def test_what_was_cut_is_not_sent_again(server, capfd):
    server.answers = [cut_at(0.5), ranged]
    download.download(server.address, SHA)
    assert server.asked == [None, f"bytes={HALF}-"]
    said = capfd.readouterr().err
    assert "an-archive.tar.gz: downloads 0.5 MB" in said
    assert re.search(r"the connection .*was cut.*; has 0.3 MB, tries again in \S+ s \(attempt 2 of 4\)", said)
    assert "an-archive.tar.gz: goes on at 0.3 MB of 0.5 MB" in said
    assert re.search(r"an-archive.tar.gz: 0.5 MB of 0.5 MB \(100 %\)", said)


def test_another_part_than_was_asked_for_is_not_taken(server, capfd):
    server.answers = [cut_at(0.5), another_part, ranged]
    download.download(server.address, SHA)
    said = capfd.readouterr().err
    assert "the server sends another part than it was asked for: begins anew; has 0 bytes" in said
    assert server.asked == [None, f"bytes={HALF}-", None] and "is not the official archive" not in said


def test_a_later_command_goes_on_where_one_ended(tmp_path, server):
    server.answers = [cut_at(0.25), status(503)]
    with pytest.raises(UserError, match=r"answers 503 .*; 0.1 MB are kept, and the next command goes on there"):
        download.download(server.address, SHA)
    assert left(tmp_path) == ["an-archive.tar.gz.part"] and server.asked[1:] == [f"bytes={HALF // 2}-"] * 3
    server.answers = [ranged]
    assert download.download(server.address, SHA).read_bytes() == CONTENT


@pytest.mark.parametrize("kept", (b"something else", CONTENT + b"too long", b"x" * len(CONTENT)), ids=("short", "long", "other"))
def test_a_kept_part_that_does_not_fit_is_dropped(tmp_path, server, kept):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/an-archive.tar.gz.part").write_bytes(kept)
    server.answers = [ranged]
    assert download.download(server.address, SHA).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(kept)}-", None] and left(tmp_path) == ["an-archive.tar.gz"]


def test_a_whole_part_is_only_checked(tmp_path, server):
    """One that was killed between its last byte and its end."""
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/an-archive.tar.gz.part").write_bytes(CONTENT)
    server.answers = [ranged]
    assert download.download(server.address, SHA).read_bytes() == CONTENT and len(server.asked) == 1


BAD = {
    "not there": ([status(404)], 1, "answers 404 Not Found"),
    "not allowed": ([status(403)], 1, "answers 403"),
    "always busy": ([status(503)], 4, "answers 503"),
    "a page to log in": (
        [lambda request: send(request, b"<!DOCTYPE html><p>Log in")],
        2,
        r"\(24 bytes, an HTML page\) has another",
    ),
    "an empty file": ([lambda request: send(request, b"")], 2, "has another sha256"),
    "always cut at once": ([cut_at(0)], 4, "was cut"),
    "a length that is too large": ([lambda request: send(request, CONTENT, Content_Length=10**6)], 4, "was cut"),
    "to http": ([lambda r: send(r, b"", 302, Location="http://127.0.0.1:9/x")], 4, "no connection to 127.0.0.1"),
    "nowhere": ([lambda r: send(r, b"", 302, Location=r.path)], 31, "127.0.0.1 leads from one address to another"),
    "always another part": ([another_part], 4, "another part than it was asked for"),
    "always cut, without a length": (
        [lambda request: send(request, CONTENT, sent=HALF, Content_Length=None)],
        4,
        r"what came \(0.3 MB\) was cut, or is another file: the server does not say its size; 0.3 MB are kept",
    ),
}


@pytest.mark.parametrize("answers, count, message", BAD.values(), ids=BAD)
def test_a_download_that_can_not_be_is_one_line(tmp_path, server, answers, count, message):
    server.answers = answers
    with pytest.raises(UserError, match=f"could not download {server.address}: .*{message}") as caught:
        download.download(server.address, SHA)
    assert "\n" not in str(caught.value) and not (tmp_path / "downloads/an-archive.tar.gz").exists()
    assert len(server.asked) == count
    assert "; 0 bytes are kept" not in str(caught.value)
    assert all((tmp_path / "downloads" / name).stat().st_size for name in left(tmp_path)), "an empty part is not kept"


def test_nothing_that_came_before_a_cut_is_lost(server, monkeypatch):
    """However many bytes are read at once, each attempt begins where the one before was cut."""
    monkeypatch.setattr(download, "CHUNK", 2**16)
    server.answers = [lambda request: ranged(request, sent=50_001)]
    assert download.download(server.address, SHA).read_bytes() == CONTENT
    assert server.asked == [None, *(f"bytes={50_001 * n}-" for n in range(1, 11))]


PROXIES = {
    "no host": ("http://user:hunter22@", "can't be read as an address: write http://host:port"),
    "no host, nor user": ("http://", "can't be read as an address"),
    "no scheme": ("user:hunter22@127.0.0.1:9", "can't be read as an address"),
    "no such port": ("http://user:hunter22@127.0.0.1:99999999", "can't be read as an address"),
    "no number": ("http://user:hunter22@127.0.0.1:port", "can't be read as an address"),
    "half an address": ("http://user:hunter22@[::1", "can't be read as an address"),
    "a slash in the password": ("http://user:hunter22/x@127.0.0.1:9", "can't be read as an address"),
    "another scheme": ("foo://user:hunter22@127.0.0.1", "does not lead to example.invalid: .* unsupported scheme foo"),
    "nobody there": ("http://user:hunter22@127.0.0.1:9", "does not lead to example.invalid: Connection refused;"),
    "no such host": ("http://user:hunter22@no-such.invalid:9", "does not lead to example.invalid: "),
}


@pytest.mark.parametrize("proxy, message", PROXIES.values(), ids=PROXIES)
def test_a_proxy_that_leads_nowhere_is_one_line_without_its_password(monkeypatch, capfd, proxy, message):
    for name in ("HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(UserError, match=rf"the proxy that the environment names \(https_proxy\) {message}") as caught:
        download.download("https://example.invalid/a.zip", SHA)
    said = str(caught.value) + capfd.readouterr().err
    assert "hunter22" not in said and "ConnectionPool" not in said and "\n" not in str(caught.value)


def test_a_proxy_that_wants_a_password_is_not_asked_again(monkeypatch):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self):
            asked.append(self.path)
            self.send_error(407)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_port}")
        with pytest.raises(UserError, match="does not lead to example.invalid: .*407 Proxy Authentication Required; check"):
            download.download("https://example.invalid/a.zip", SHA)
        proxy.shutdown()
    assert asked == ["example.invalid:443"]


def test_a_file_of_certificates_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with pytest.raises(UserError, match="certificate bundle, invalid path: /nowhere; check"):
        download.download("https://127.0.0.1:9/a.zip", SHA)


def test_a_server_that_stops_sending_is_asked_again(server, monkeypatch, capfd):
    monkeypatch.setattr(download, "TIMEOUT", (5, 0.5))
    server.answers = [stall, ranged]
    assert download.download(server.address, SHA).read_bytes() == CONTENT
    assert "127.0.0.1 sent nothing for 0.5 s; has 1000 bytes, tries again" in capfd.readouterr().err


def test_a_certificate_that_is_not_trusted_is_not_asked_again(server, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(UserError, match="the certificate of 127.0.0.1 is not trusted: [Ss]elf.signed certificate; check"):
        download.download(server.address, SHA)
    assert server.asked == []


def test_a_slow_download_says_how_far_it_is_in_a_few_lines(server, monkeypatch, capfd):
    monkeypatch.setattr(download, "LINE_SECONDS", (0, 60))

    def slow(request):
        send(request, CONTENT, sent=0)
        for start in range(0, len(CONTENT), 4000):
            request.wfile.write(CONTENT[start : start + 4000])
            time.sleep(0.005)

    server.answers = [slow]
    download.download(server.address, SHA)
    said = capfd.readouterr().err.splitlines()
    shares = [int(share) for share in re.findall(r"\((\d+) %\)", "\n".join(said))]
    assert said[0].endswith(f"waits for 127.0.0.1:{server.http.server_port}") and said[1].endswith("downloads 0.5 MB")
    assert 3 <= len(shares) <= 12 and shares == sorted(shares) and shares[-1] == 100
    assert sum("(100 %)" in line for line in said) == 1
    assert re.search(r"MB/s, \d+\.\d min left$|bytes/s, \d+\.\d min left$", said[2])


def test_a_full_disk_is_said_before_anything_comes(tmp_path, server):
    server.answers = [lambda request: send(request, CONTENT, Content_Length=10**15)]
    with pytest.raises(UserError, match=r"needs 1000000000.0 MB, and .* are free"):
        download.download(server.address, SHA)
    assert left(tmp_path) == []


def test_an_archive_brought_by_hand_is_taken_and_a_wrong_one_replaced(tmp_path, server, capfd):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/an-archive.tar.gz").write_bytes(CONTENT)
    download.download(server.address, SHA)
    assert server.asked == []
    (tmp_path / "downloads/an-archive.tar.gz").write_bytes(CONTENT[:-1])
    assert download.download(server.address, SHA).read_bytes() == CONTENT
    assert "has another sha256 than the official archive: downloads it again" in capfd.readouterr().err


def test_a_second_process_waits_for_the_first_and_takes_its_file(tmp_path, server):
    """Two processes at once: the server is asked once, and the second says whom it waits for."""
    go = threading.Event()

    def wait_and_send(request):
        go.wait(60)
        whole(request)

    server.answers = [wait_and_send]
    code = (
        f"from pathlib import Path; from pipeline.data import download; download.DOWNLOADS = Path({str(tmp_path / 'both')!r})\n"
    )
    code += f"print(download.download({server.address!r}, {SHA!r}))"
    start = {"args": [sys.executable, "-c", code], "cwd": ROOT, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(**start)
    try:
        while not server.asked:
            time.sleep(0.05)
            assert first.poll() is None
        second = subprocess.Popen(**start)
        try:
            assert second.stderr.readline().startswith(f"waits for process {first.pid} on ")
            go.set()
            assert first.wait(60) == second.wait(60) == 0
        finally:
            second.kill(), second.communicate()
    finally:
        go.set(), first.kill(), first.communicate()
    assert len(server.asked) == 1 and (tmp_path / "both/an-archive.tar.gz").read_bytes() == CONTENT
