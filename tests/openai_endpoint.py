"""A scripted OpenAI-compatible endpoint on the loopback interface: completions, chat and embeddings over HTTP."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

_DIMENSIONS = 64


@dataclass(frozen=True)
class Turn:
    """One scripted answer to a chat or completion request, or a fault.

    Attributes:
        text: What the model says; with `status` other than 200, the error's message.
        status: HTTP status.
        headers: Further HTTP headers.
        seconds: How long it takes.
        reset: Cut the connection instead of answering.
        drip: Send a byte a second, for ever, instead of answering.
        garbage: Send this, which need be no JSON, as the body of a 200.
        model: The model that says it answered; None names the one that was asked for.
    """

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    reset: bool = False
    drip: bool = False
    garbage: bytes | None = None
    model: str | None = None


@dataclass
class ScriptedEndpoint:
    """What the endpoint answers, and what it was asked.

    Attributes:
        url: Base URL with ``/v1``.
        answer: Text of every completion.
        status: HTTP status by path (``/v1/completions``); 200 where none is given.
        files: What GET finds, by path.
        wait_for: Set before answers are given; None waits for nothing.
        requests: Path, body and headers of each request, in the order of arrival.
        play: What to answer to a chat or completion, by its body; None gives `answer`.
        most_in_flight: The most requests that were answered at one time.
    """

    url: str = ""
    answer: str = "A scripted answer."
    status: dict[str, int] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    wait_for: threading.Event | None = None
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    play: Callable[[dict[str, Any]], Turn] | None = None
    most_in_flight: int = 0
    in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """The bodies that were sent to a path."""
        return [body for sent_to, body, _ in self.requests if sent_to == path]

    def respond(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body for one request."""
        status = self.status.get(path, 200)
        if status != 200:
            return status, {"error": {"message": f"scripted {status}", "type": "scripted", "code": None}}
        if path == "/v1/embeddings":
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": i, "embedding": bag_of_words(t)} for i, t in enumerate(texts)]
            return 200, {"object": "list", "data": data, "model": body["model"], "usage": _USAGE}
        return 200, completion(path, body["model"], self.answer)

    def arrives(self) -> None:
        """Count a request in."""
        with self.lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def leaves(self) -> None:
        """Count a request out."""
        with self.lock:
            self.in_flight -= 1


def completion(path: str, model: str, text: str) -> dict[str, Any]:
    """Return the body of a completion or chat completion."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    if path == "/v1/completions":
        choice["text"] = text
    else:
        choice["message"] = {"role": "assistant", "content": text}
    kind = "text_completion" if path == "/v1/completions" else "chat.completion"
    return {"id": "1", "object": kind, "created": 0, "model": model, "choices": [choice], "usage": _USAGE}


_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def bag_of_words(text: str) -> list[float]:
    """A vector that is near another when the texts share words."""
    vector = [0.0] * _DIMENSIONS
    for word in text.lower().split():
        vector[sum(word.encode()) % _DIMENSIONS] += 1.0
    length = sum(value * value for value in vector) ** 0.5 or 1.0
    return [value / length for value in vector]


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # many connect at once


@contextlib.contextmanager
def scripted_endpoint() -> Iterator[ScriptedEndpoint]:
    """Serve until the block ends."""
    script = ScriptedEndpoint()

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.requests.append((self.path, body, dict(self.headers)))
            if script.wait_for is not None:
                script.wait_for.wait(30)
            script.arrives()
            try:
                if script.play is not None and self.path.endswith("completions"):
                    self.act(script.play(body), body)
                else:
                    status, answer = script.respond(self.path, body)
                    self.send(status, json.dumps(answer).encode())
            finally:
                script.leaves()

        def act(self, turn: Turn, body: dict[str, Any]) -> None:
            script.over.wait(turn.seconds)
            if turn.reset:
                # Closing with unread or unsent data pending sends RST.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
            elif turn.drip:
                self.drip()
            elif turn.garbage is not None:
                self.send(200, turn.garbage)
            elif turn.status == 200:
                answer = completion(self.path, turn.model or body["model"], turn.text)
                self.send(200, json.dumps(answer).encode(), turn.headers)
            else:
                error = {"error": {"message": turn.text, "type": "scripted", "code": None}}
                self.send(turn.status, json.dumps(error).encode(), turn.headers)

        def drip(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not script.over.wait(1.0):
                    self.wfile.write(b" ")

        def do_GET(self) -> None:
            self.send(200 if self.path in script.files else 404, script.files.get(self.path, b"{}"))

        def send(self, status: int, payload: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client gave up
                self.wfile.write(payload)

        def log_message(self, *args: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Requests)
    # Clients keep connections open; waiting for their threads would take until they close.
    server.daemon_threads = True
    server.block_on_close = False
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        script.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
