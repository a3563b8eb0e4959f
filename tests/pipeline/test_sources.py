import hashlib
import os

import pytest

from pipeline import sources
from pipeline.errors import UserError


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a file in it and one below; what is remembered lies beside."""
    monkeypatch.setattr(sources, "FINGERPRINTS", tmp_path / "fingerprints")
    (tmp_path / "set/below").mkdir(parents=True)
    (tmp_path / "set/one").write_text("1"), (tmp_path / "set/below/two").write_text("2")
    os.utime(tmp_path / "set/below/two", ns=(5, 5))
    return tmp_path / "set"


def counted(files, answers):
    """What is remembered of the files, where each computation takes the next answer."""
    return sources.remembered([files], lambda: answers.pop(0))


def test_what_was_found_out_is_computed_once(files):
    answers = [["first", 1], "never"]
    assert [counted(files, answers) for _ in range(3)] == [["first", 1]] * 3 and answers == ["never"]


@pytest.mark.parametrize(
    "change",
    (
        lambda folder: ((folder / "below/two").write_text("22"), os.utime(folder / "below/two", ns=(5, 5))),
        lambda folder: os.utime(folder / "below/two", ns=(0, 1)),
        lambda folder: (folder / "below/two").rename(folder / "below/three"),
        lambda folder: (folder / "below/three").write_text(""),
        lambda folder: (folder / "one").unlink(),
    ),
)
def test_other_names_sizes_or_times_are_computed_again(files, change):
    answers = ["first", "second"]
    assert counted(files, answers) == "first"
    change(files)
    assert counted(files, answers) == "second"


@pytest.mark.parametrize(
    "damage", (lambda b: b[:-1], lambda b: b"", lambda b: b"\xff" + b[1:], lambda b: b.replace(b"first", b"thirst"))
)
def test_a_damaged_memory_is_computed_again(files, damage):
    answers = ["first", "second"]
    counted(files, answers)
    (kept,) = sources.FINGERPRINTS.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    assert [counted(files, answers) for _ in range(2)] == ["second"] * 2


def test_what_fails_is_not_remembered(files):
    def fail():
        raise UserError("no")

    with pytest.raises(UserError):
        sources.remembered([files], fail)
    assert counted(files, ["second"]) == "second"


def test_a_link_that_leads_nowhere_is_one_line(files):
    (files / "link").symlink_to("nowhere")
    with pytest.raises(UserError, match="set can't be read .*link"):
        counted(files, ["first"])


def test_a_download_that_fails_names_the_address_and_the_way_round(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "DOWNLOADS", tmp_path)
    with pytest.raises(UserError, match="could not download http://127.0.0.1:9/.*--config data=FOLDER"):
        sources.download("http://127.0.0.1:9/cifar-100-python.tar.gz", "0" * 64)
    assert not list(tmp_path.glob("*.gz"))


def test_a_download_is_checked_and_tried_again(tmp_path, monkeypatch):
    """A server on this machine that fails once, then gives the file; and a file with another digest is refused."""
    import http.server
    import threading

    content, asked = b"an archive", []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if len(asked) > 1 else 503)
            self.end_headers()
            if len(asked) > 1:
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(sources, "DOWNLOADS", tmp_path)
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        path = sources.download(f"{address}/good.tar.gz", hashlib.sha256(content).hexdigest())
        assert path.read_bytes() == content and len(asked) == 2
        with pytest.raises(UserError, match="could not download"):
            sources.download(f"{address}/bad.tar.gz", "0" * 64)
    finally:
        server.shutdown()
