"""One HTTP client for several equal servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack

import httpx
import pytest

from fixtures.balancing import LeastBusy
from tests.openai_endpoint import ScriptedEndpoint, scripted_endpoint

BODY = {"model": "scripted", "messages": []}


@pytest.fixture
def servers() -> Iterator[list[ScriptedEndpoint]]:
    with ExitStack() as stack:
        yield [stack.enter_context(scripted_endpoint()) for _ in range(3)]


def client(servers: list[ScriptedEndpoint]) -> httpx.Client:
    return httpx.Client(base_url=servers[0].url, transport=LeastBusy([server.url for server in servers]))


def test_idle_servers_take_turns(servers: list[ScriptedEndpoint]) -> None:
    with client(servers) as http:
        for _ in range(6):
            assert http.post("/chat/completions", json=BODY).status_code == 200

    assert [len(server.requests) for server in servers] == [2, 2, 2]


def test_each_request_names_the_server_it_goes_to(servers: list[ScriptedEndpoint]) -> None:
    with client(servers) as http:
        for _ in servers:
            http.post("/chat/completions", json=BODY)

    for server in servers:
        assert f"http://{server.requests[0][2]['Host']}/v1" == server.url


def test_a_busy_server_gets_nothing_while_others_are_idle(servers: list[ScriptedEndpoint]) -> None:
    held = threading.Event()
    servers[1].wait_for = held
    with client(servers) as http, ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(http.post, "/chat/completions", json=BODY) for _ in servers]
        finished = as_completed(calls)
        assert next(finished).result().status_code == next(finished).result().status_code == 200
        later = [http.post("/chat/completions", json=BODY) for _ in range(4)]
        held.set()

        assert all(call.result().status_code == 200 for call in calls)
    assert all(response.status_code == 200 for response in later)
    assert len(servers[1].requests) == 1


def test_a_server_that_cannot_be_reached_is_an_error_and_counts_as_idle_again() -> None:
    gone = "http://127.0.0.1:9/v1"
    with httpx.Client(base_url=gone, transport=LeastBusy([gone])) as http:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                http.post("/chat/completions", json=BODY)
