"""A local HTTP server that answers as a test tells it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """How one request is answered.

    Args:
        body: what is sent.
        status: of the response.
        length: what the header says of the length; None says nothing.
        wait: seconds after the body before the connection is closed.
        location: where a redirect leads.
    """

    body: bytes
    status: int = 200
    length: int | None = -1
    wait: float = 0.0
    location: str = ""


@dataclass
class Served:
    """A running server.

    Args:
        address: of its root, with a slash at the end.
        answers: path -> answers, given in this order; the last one again and again.
        requests: paths that were asked for.
    """

    address: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Served]:
    """Run a server on a free local port until the end of the block."""
    served = Served("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            answers = served.answers.get(self.path, [Answer(b"nothing", 404)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(answer.status)
            if answer.length is not None:
                self.send_header("Content-Length", str(len(answer.body) if answer.length < 0 else answer.length))
            if answer.location:
                self.send_header("Location", answer.location)
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()
            time.sleep(answer.wait)

        def log_message(self, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # closing waits for the threads

        def handle_error(self, *arguments: Any) -> None:
            """Say nothing of a client that went away, which is what some tests do."""

    server = Server(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
