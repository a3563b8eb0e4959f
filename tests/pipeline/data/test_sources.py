import datetime
import hashlib
import http.server
import ipaddress
import os
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.core.errors import UserError
from pipeline.data import download, fingerprints


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a file in it and one below; what is remembered lies beside."""
    monkeypatch.setattr(fingerprints, "FINGERPRINTS", tmp_path / "fingerprints")
    (tmp_path / "set/below").mkdir(parents=True)
    (tmp_path / "set/one").write_text("1"), (tmp_path / "set/below/two").write_text("2")
    os.utime(tmp_path / "set/below/two", ns=(5, 5))
    return tmp_path / "set"


def counted(files, answers):
    """What is remembered of the files, where each computation takes the next answer."""
    return fingerprints.remembered([files], lambda: answers.pop(0))


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
    (kept,) = fingerprints.FINGERPRINTS.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    assert [counted(files, answers) for _ in range(2)] == ["second"] * 2


def test_what_fails_is_not_remembered(files):
    def fail():
        raise UserError("no")

    with pytest.raises(UserError):
        fingerprints.remembered([files], fail)
    assert counted(files, ["second"]) == "second"


def test_a_link_that_leads_nowhere_is_one_line(files):
    (files / "link").symlink_to("nowhere")
    with pytest.raises(UserError, match="set can't be read .*link"):
        counted(files, ["first"])


def test_a_download_that_fails_names_the_address_and_the_way_round(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "DOWNLOADS", tmp_path)
    with pytest.raises(UserError, match="could not download https://127.0.0.1:9/.*--config data=FOLDER"):
        download.download("https://127.0.0.1:9/cifar-100-python.tar.gz", "0" * 64)
    assert not list(tmp_path.glob("*.gz"))


@pytest.mark.parametrize("address", ("http://127.0.0.1:9/a.zip", "ftp://127.0.0.1/a.zip", "file:///etc/passwd", "a.zip", ""))
def test_nothing_is_downloaded_without_encryption(tmp_path, monkeypatch, address):
    monkeypatch.setattr(download, "DOWNLOADS", tmp_path / "downloads")
    with pytest.raises(UserError, match="is no https:// address"):
        download.download(address, "0" * 64)
    assert not list(tmp_path.iterdir())


def certified(folder):
    """A context of TLS for a server at 127.0.0.1, and the file with its certificate, which the server gave itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = made.add_extension(here, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path, both = folder / "certificate.pem", folder / "both.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM)), both.write_bytes(private + path.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, path


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with https on this machine that fails once, then gives a file; its address, the file, and what was asked."""
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

    context, certificate = certified(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{made.server_port}", content, asked
    made.shutdown()


def test_a_download_is_checked_and_tried_again(tmp_path, monkeypatch, server):
    address, content, asked = server
    monkeypatch.setattr(download, "DOWNLOADS", tmp_path / "downloads")
    path = download.download(f"{address}/good.tar.gz", hashlib.sha256(content).hexdigest())
    assert path.read_bytes() == content and len(asked) == 2


def test_a_download_of_other_bytes_is_refused_and_leaves_nothing(tmp_path, monkeypatch, server):
    monkeypatch.setattr(download, "DOWNLOADS", tmp_path / "downloads")
    monkeypatch.setattr(download, "ATTEMPTS", 2)  # the server gives nothing at the first
    with pytest.raises(UserError, match="could not download .*hash"):
        download.download(f"{server[0]}/bad.tar.gz", "0" * 64)
    assert len(server[2]) == 2 and not list((tmp_path / "downloads").iterdir())
