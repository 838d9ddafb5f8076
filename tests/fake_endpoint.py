"""A small OpenAI-compatible server in this process, whose replies are a function of what it is asked."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple


class Asked(NamedTuple):
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def content(self) -> str:
        """What the user says."""
        content: str = self.body["messages"][0]["content"]
        return content

    @property
    def judged(self) -> str:
        """What stands between the marks."""
        return self.content.split("<output ")[1].split(">\n", 1)[1].rsplit("\n</output ", 1)[0]


class Reply(NamedTuple):
    status: int
    body: bytes


def says(answer: str | None) -> Reply:
    return Reply(
        200, json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}).encode()
    )


class Endpoint(NamedTuple):
    url: str
    asked: list[Asked]  # so far

    @property
    def judge(self) -> str:
        return f"endpoint:{self.url}#fake"


@contextmanager
def serving(reply: Callable[[Asked], Reply | None]) -> Iterator[Endpoint]:
    """Serves while the context is open; None for a reply drops the connection."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            one = Asked(self.path, dict(self.headers), body)
            asked.append(one)
            given = reply(one)
            if given is None:
                self.close_connection = True
                return
            self.send_response(given.status)
            self.send_header("Content-Length", str(len(given.body)))
            if 300 <= given.status < 400:
                self.send_header("Location", given.body.decode())
            self.end_headers()
            self.wfile.write(given.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:  # a client that left is no news
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Endpoint(f"http://127.0.0.1:{server.server_port}/v1", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
