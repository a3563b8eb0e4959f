"""A small HTTP server that gives every request one answer, for what MLflow's server, a proxy before it or another program may say."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def answering(status, body="", kind="text/html", silent=False, tls=None):
    """The host and port of a server that answers all requests alike; a silent one never does."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if silent:
                return ended.wait(60)
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body.encode())))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_PATCH = do_PUT = do_CONNECT = answer

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            pass  # who asks goes away

    ended = threading.Event()
    server = Server(("127.0.0.1", 0), Answer)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
