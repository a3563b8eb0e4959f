"""A server with https on this machine, which does with each request what a test says."""

import datetime
import http.server
import ipaddress
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


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


class Server:
    """A server with https on this machine. `answers` are what it does with each request, the last with all further ones."""

    def __init__(self, folder, answer):
        self.asked, self.answers = [], [answer]
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.headers.get("Range"))
                outer.answers[min(len(outer.asked), len(outer.answers)) - 1](self)

            def log_message(self, *_):
                pass

        context, self.certificate = certified(folder)
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # of a client that has gone
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.address = f"https://127.0.0.1:{self.http.server_port}/an-archive.tar.gz"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
