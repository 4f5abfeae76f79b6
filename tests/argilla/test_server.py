"""The embedded Argilla server: one for a home, however it is started, broken or ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures import argilla
from fixtures.argilla import Deployment
from fixtures.errors import ArgillaServerError
from tests.argilla import server

ROOT = Path(__file__).parents[2]
GONE_WITHIN = 10.0


@pytest.fixture(scope="module")
def initialised(argilla_server: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a database, for others to copy; its server is down."""
    home = tmp_path_factory.mktemp("initialised") / "home"
    try:
        argilla.up(home, environment=server.environment())
    finally:
        argilla.down(home)
    return home


@pytest.fixture
def home(initialised: Path, tmp_path: Path) -> Iterator[Path]:
    """A home of one's own, whose server is down before and after."""
    home = tmp_path / "a home with 100% odd characters, äöü?#"
    shutil.copytree(initialised, home)
    yield home
    argilla.down(home)
    assert processes(home) == {}


@pytest.fixture(scope="module")
def lasting(initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for the tests that end with a running server, or do not mind how they find it."""
    home = tmp_path_factory.mktemp("lasting") / "home"
    shutil.copytree(initialised, home)
    yield home
    argilla.down(home)
    assert processes(home) == {}


def up(home: Path) -> Deployment:
    return argilla.up(home, environment=server.environment())


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fixtures.argilla", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def start(home: Path) -> subprocess.Popen[str]:
    """Begin an `up` on the command line."""
    line = [sys.executable, "-m", "fixtures.argilla", "up", "--json", "--home", str(home)]
    return subprocess.Popen(
        [*line, "--environment", str(server.environment())], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the message of a command that failed for a reason that was foreseen."""
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def processes(home: Path) -> dict[str, list[int]]:
    """Return the ids of the processes that work in a home, by what they are; all have its `run` for their folder."""
    found: dict[str, list[int]] = {}
    for path in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):
            if path.joinpath("cwd").readlink() == home / "run":
                name = path.joinpath("exe").readlink().name
                found.setdefault("redis" if "redis" in name else "python", []).append(int(path.name))
    return found


def listening(pid: int) -> list[str]:
    """Return the addresses at which a process listens, or to which it is connected, through IP."""
    inodes = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(path).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                found += [field for field in fields[1:3] if set(field.split(":")[0]) != {"0"}]
    return found


def eventually(condition: Callable[[], bool], within: float = GONE_WITHIN) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def ask(running: Deployment, path: str, api_key: str | None = None, **body: Any) -> Any:
    headers = {"X-Argilla-Api-Key": api_key or running.owner.api_key}
    answer = httpx.request(
        "POST" if body else "GET", f"{running.url}/api/v1/{path}", headers=headers, json=body or None
    )
    answer.raise_for_status()
    return answer.json()


# What the session's server offers


def test_everybody_signs_in_with_a_password_and_with_a_key(argilla_server: Deployment) -> None:
    roles = []
    for account in (argilla_server.owner, *argilla_server.annotators):
        form = {"username": account.username, "password": account.password}
        token = httpx.post(f"{argilla_server.url}/api/v1/token", data=form).json()["access_token"]
        me = httpx.get(f"{argilla_server.url}/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
        assert me == ask(argilla_server, "me", account.api_key)
        assert me["username"] == account.username
        roles.append(me["role"])
    assert roles == ["owner", "annotator", "annotator"]


def test_annotators_belong_to_the_workspace(argilla_server: Deployment) -> None:
    for account in argilla_server.annotators:
        spaces = ask(argilla_server, "me/workspaces", account.api_key)["items"]
        assert "argilla" in [space["name"] for space in spaces]  # other tests may have added them to more


def test_secrets_are_random_and_not_shown(argilla_server: Deployment, initialised: Path) -> None:
    other = json.loads((initialised / "credentials.json").read_text())
    accounts = (argilla_server.owner, *argilla_server.annotators)
    secrets = [secret for account in accounts for secret in (account.password, account.api_key)]
    assert len({*secrets, other["owner"]["password"], other["owner"]["api_key"]}) == 8
    assert not [secret for secret in secrets if secret in repr(argilla_server)]


def test_the_web_page_is_served_and_speaks_with_this_server_alone(argilla_server: Deployment) -> None:
    page = httpx.get(f"{argilla_server.url}/sign-in", follow_redirects=True)
    assert "<title>Argilla</title>" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self' ")


def test_other_web_sites_may_not_call_the_server(argilla_server: Deployment) -> None:
    answer = httpx.get(f"{argilla_server.url}/api/v1/version", headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in answer.headers


def test_the_processes_of_a_session_share_a_server_and_the_last_one_ends_it(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    killed = server.root() / "sessions" / "killed"
    (killed / "home" / "run").mkdir(parents=True)
    (killed / "lease").touch()
    others = {*(server.root() / "sessions").iterdir()} - {killed}
    pytester.makeconftest("from tests.argilla.conftest import argilla_server")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(number, argilla_server):
            with open({str(tmp_path / "said")!r}, "a") as file:
                print(argilla_server.url, file=file)
        """
    )
    pytester.makeini(f"[pytest]\npythonpath = {ROOT}")
    result = pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=4)
    (url,) = set((tmp_path / "said").read_text().split())
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert {*(server.root() / "sessions").iterdir()} <= others


# Up and down


def test_the_command_starts_shows_and_ends_the_server(home: Path) -> None:
    place = ("--home", home)
    into = ("--environment", server.environment())
    assert (command("status", *place).returncode, command("status", "--json", *place).stdout) == (3, "null\n")

    began = command("up", "--json", *place, *into)
    assert (began.returncode, began.stderr) == (0, "")
    (line,) = began.stdout.splitlines()
    said = json.loads(line)
    known = json.loads((home / "credentials.json").read_text())
    assert said["owner_api_key"] == known["owner"]["api_key"]
    assert said["annotators"] == [
        {"username": one["username"], "api_key": one["api_key"]} for one in known["annotators"]
    ]
    running = processes(home)
    assert command("up", "--json", *place, *into).stdout == command("status", "--json", *place).stdout == began.stdout
    assert processes(home) == running

    text = command("up", *place, *into).stdout
    assert f"open {said['url']}\n" in text
    assert "owner, annotator-1, annotator-2" in text
    assert str(home / "credentials.json") in text
    assert text == command("status", *place).stdout
    assert not [one for one in (known["owner"], *known["annotators"]) if one["password"] in text + began.stdout]

    assert command("down", *place).returncode == 0
    assert processes(home) == {}
    assert command("status", *place).returncode == 3
    assert command("down", *place).returncode == 0


def test_what_is_there_stays_while_the_server_is_down(lasting: Path) -> None:
    first = up(lasting)
    kept = ask(first, "workspaces", name="kept")
    argilla.down(lasting)
    assert argilla.status(lasting) is None

    again = up(lasting)

    assert again == first
    assert kept in ask(again, "me/workspaces")["items"]


def test_a_running_server_is_private_to_its_user_and_to_this_machine(lasting: Path) -> None:
    running = up(lasting)

    open_to_others = [path for path in lasting.rglob("*") if path.stat().st_mode & 0o077 and path.is_file()]
    assert [path.name for path in open_to_others if lasting / "run" not in path.parents] == []
    assert (lasting / "run").stat().st_mode & 0o077 == 0
    assert (lasting / "credentials.json").stat().st_mode & 0o777 == 0o600
    port = f"0100007F:{int(running.url.rpartition(':')[2]):04X}"
    members = [pid for pids in processes(lasting).values() for pid in pids]
    assert len(members) == 3
    assert {address for pid in members for address in listening(pid)} == {port}


def test_a_home_nobody_started_a_server_in_is_down(tmp_path: Path) -> None:
    argilla.down(tmp_path / "nowhere")
    assert argilla.status(tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()


def test_many_who_start_at_once_get_one_server(home: Path) -> None:
    starts = [start(home) for _ in range(4)]
    said = [process.communicate(timeout=120)[0] for process in starts]

    assert len(set(said)) == 1
    assert {name: len(pids) for name, pids in processes(home).items()} == {"python": 2, "redis": 1}


def test_redis_may_come_from_the_wheel(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    up(home)

    (redis,) = processes(home)["redis"]
    assert Path(f"/proc/{redis}/exe").readlink().is_relative_to(server.environment())


# What can happen to a running server


@pytest.mark.parametrize("victim", ["server", "worker", "redis"])
def test_a_process_that_was_killed_is_noticed_and_mended(lasting: Path, victim: str) -> None:
    before = up(lasting)
    kept = ask(before, "workspaces", name=f"kept-by-{victim}")
    members = processes(lasting)
    (redis,), (main, worker) = members["redis"], members["python"]
    os.kill({"server": main, "worker": worker, "redis": redis}[victim], signal.SIGKILL)
    assert eventually(lambda: argilla.status(lasting) is None)

    after = up(lasting)

    assert after.owner == before.owner
    assert kept in ask(after, "me/workspaces")["items"]
    others = processes(lasting)
    assert {name: len(pids) for name, pids in others.items()} == {"python": 2, "redis": 1}
    assert not {main, worker, redis} & {*others["python"], *others["redis"]}


def test_down_ends_what_a_killed_server_left(lasting: Path) -> None:
    up(lasting)
    main, worker = processes(lasting)["python"]
    os.kill(main, signal.SIGKILL)
    assert eventually(lambda: argilla.status(lasting) is None)
    assert worker in processes(lasting)["python"]

    argilla.down(lasting)

    assert processes(lasting) == {}


def test_a_start_that_was_killed_leaves_nothing_that_down_does_not_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start(home)
    assert eventually(lambda: bool(processes(home)))
    process.kill()
    process.communicate()

    argilla.down(home)

    assert processes(home) == {}


def test_a_server_whose_home_is_removed_ends(home: Path) -> None:
    url = up(home).url
    members = [pid for pids in processes(home).values() for pid in pids]
    shutil.rmtree(home)

    assert eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in members))
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_stale_files_do_not_hurt_another_process(home: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as bystander, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (home / "port").write_text(str(port))
        (home / "run" / "endpoint.json").write_text(json.dumps({"url": f"http://127.0.0.1:{port}", "pid": 1}))
        (home / "run" / "group.lock").write_text(str(bystander.pid))
        try:
            assert argilla.status(home) is None
            argilla.down(home)
            assert up(home).url != f"http://127.0.0.1:{port}"
            argilla.down(home)
            assert bystander.poll() is None
        finally:
            bystander.kill()


# What can be wrong


@pytest.mark.parametrize("name", ["up", "status"])
def test_a_home_that_cannot_be_one_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    error = one_line_error(command(name, "--home", tmp_path / "file" / "home"))
    assert "Not a directory" in error


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "argilla.db").write_text("somebody's")
    assert "name another with --home" in one_line_error(command("up", "--home", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["argilla.db"]


def test_a_broken_environment_is_one_error(home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", broken], check=True)
    shutil.copy(server.environment() / "bias-suite.json", broken)

    error = one_line_error(command("up", "--home", home, "--environment", broken))

    assert "the Argilla server did not start (exit status 1): " in error
    assert "No module named 'argilla_server'" in error
    assert f"remove {broken}" in error


def test_without_redis_the_error_says_where_it_comes_from(home: Path, tmp_path: Path) -> None:
    bare = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    shutil.copy(server.environment() / "bias-suite.json", bare)
    error = one_line_error(command("up", "--home", home, "--environment", bare, PATH=str(tmp_path)))
    assert "there is no redis-server: `apt-get install redis-server`" in error


def test_an_environment_of_somebody_else_is_left_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "precious").touch()
    error = one_line_error(command("up", "--home", home, "--environment", tmp_path / "venv"))
    assert "holds something else" in error
    assert (tmp_path / "venv" / "precious").exists()


def test_an_installation_that_fails_is_one_error(home: Path, tmp_path: Path) -> None:
    nothing = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": str(tmp_path)}
    error = one_line_error(command("up", "--home", home, "--environment", tmp_path / "venv", **nothing))
    assert "the Argilla server cannot be installed" in error
    assert "No matching distribution found for aiofiles" in error


def test_unreadable_accounts_are_one_error_and_can_be_renewed(home: Path) -> None:
    (home / "credentials.json").write_text('{"owner": ')
    line = ("up", "--home", home, "--environment", server.environment())
    assert "gives everybody new secrets" in one_line_error(command(*line))
    (home / "credentials.json").unlink()

    renewed = up(home)

    assert ask(renewed, "me")["role"] == "owner"
    assert ask(renewed, "me", renewed.annotators[0].api_key)["role"] == "annotator"


def test_a_database_that_cannot_be_used_is_one_error(home: Path) -> None:
    (home / "argilla.db").write_text("no database")
    (home / "database.json").write_text("{}")
    with pytest.raises(
        ArgillaServerError, match=r"did not start \(exit status 1\): .*file is not a database"
    ) as caught:
        up(home)
    assert "\n" not in str(caught.value)


def test_windows_is_told_what_to_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ArgillaServerError, match="WSL"):
        argilla.up(tmp_path)
