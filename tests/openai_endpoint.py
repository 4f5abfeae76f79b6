"""A scripted OpenAI-compatible endpoint on the loopback interface: completions, chat and embeddings over HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_DIMENSIONS = 64


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
    """

    url: str = ""
    answer: str = "A scripted answer."
    status: dict[str, int] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    wait_for: threading.Event | None = None
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)

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
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
        if path == "/v1/completions":
            choice["text"] = self.answer
        else:
            choice["message"] = {"role": "assistant", "content": self.answer}
        kind = "text_completion" if path == "/v1/completions" else "chat.completion"
        return 200, {
            "id": "1", "object": kind, "created": 0, "model": body["model"], "choices": [choice], "usage": _USAGE,
        }  # fmt: skip


_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def bag_of_words(text: str) -> list[float]:
    """A vector that is near another when the texts share words."""
    vector = [0.0] * _DIMENSIONS
    for word in text.lower().split():
        vector[sum(word.encode()) % _DIMENSIONS] += 1.0
    length = sum(value * value for value in vector) ** 0.5 or 1.0
    return [value / length for value in vector]


@contextlib.contextmanager
def scripted_endpoint() -> Iterator[ScriptedEndpoint]:
    """Serve until the block ends."""
    script = ScriptedEndpoint()

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.requests.append((self.path, body, dict(self.headers)))
            if script.wait_for is not None:
                script.wait_for.wait(30)
            status, answer = script.respond(self.path, body)
            self.send(status, json.dumps(answer).encode())

        def do_GET(self) -> None:
            self.send(200 if self.path in script.files else 404, script.files.get(self.path, b"{}"))

        def send(self, status: int, payload: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    # Clients keep connections open; waiting for their threads would take until they close.
    server.daemon_threads = True
    server.block_on_close = False
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
