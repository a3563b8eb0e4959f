"""A download is encrypted, checked, tried again, and its failure says what to do."""

import datetime
import hashlib
import http.server
import ipaddress
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.core.errors import UserError
from pipeline.data import download


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
