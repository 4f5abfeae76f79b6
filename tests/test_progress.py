"""The progress line: what it says, and that it leaves the terminal as pytest wants it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bias_suite.reporting.progress import Progress
from tests.detectors import Slow, Slower
from tests.gate_runs import Gate

# What the line looks like in the stream: below the cursor, which comes back.
SHOWN = re.compile(r"\x1bD\x1bM\x1b7\x1bD\r\x1b\[K(.*?)\x1b8", re.DOTALL)


# What it says


class Watched:
    """A progress line over a file that a test writes."""

    def __init__(self, folder: Path, width: int) -> None:
        self.file = folder / "progress"
        self._screen = folder / "screen"
        terminal = self._screen.open("w", encoding="utf-8")
        self._progress = Progress(self.file, {"small": 40, "other": 120}, terminal, width)
        self._progress.start()
        self.stopped = False

    def write(self, *texts: str) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write("".join(texts))

    def shown(self) -> list[str]:
        """Return every text shown so far."""
        return SHOWN.findall(self._screen.read_bytes().decode())

    def next(self) -> str:
        """Return the next text that is shown."""
        before = len(self.shown())
        deadline = time.monotonic() + 10
        while len(self.shown()) == before:
            assert time.monotonic() < deadline, "nothing new was shown"
            time.sleep(0.01)
        return self.shown()[before]

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self._progress.stop()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Return a function that starts a progress line; it is stopped in the end."""
    started: list[Watched] = []

    def start(width: int = 100) -> Watched:
        started.append(Watched(tmp_path, width))
        return started[-1]

    yield start
    for watched in started:
        watched.stop()


def test_it_counts_the_answers_to_each_detector_that_is_under_way(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.write("small\n" * 12)
    assert watched.next() == "  12 probes answered · small 12/40"
    watched.write("other\nother\n", "small\n", "other\n")
    assert watched.next() == "  16 probes answered · small 13/40 · other 3/120"


def test_a_detector_that_is_done_is_only_in_the_sum(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.write("small\n" * 40, "other\n")
    assert watched.next() == "  41 probes answered · other 1/120"


def test_a_line_counts_once_it_is_whole(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.write("small\nsma")
    assert watched.next() == "  1 probes answered · small 1/40"
    watched.write("ll\n")
    assert watched.next() == "  2 probes answered · small 2/40"


def test_a_file_that_a_new_run_emptied_is_counted_anew(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.write("small\n" * 5)
    assert watched.next() == "  5 probes answered · small 5/40"
    os.truncate(watched.file, 0)
    watched.write("small\n" * 2)
    assert watched.next() == "  2 probes answered · small 2/40"


def test_it_is_cut_to_the_terminal(watch: Callable[..., Watched]) -> None:
    watched = watch(width=20)
    watched.write("small\n" * 5)
    assert watched.next() == "  5 probes answered"


def test_without_an_answer_it_says_nothing(watch: Callable[..., Watched]) -> None:
    watched = watch()
    time.sleep(1.3)
    watched.stop()
    assert watched.shown() == [""]


def test_it_is_cleared_in_the_end(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.write("small\n" * 5)
    watched.next()
    watched.stop()
    assert watched.shown()[-1] == ""
    count = len(watched.shown())
    watched.write("small\n" * 5)
    time.sleep(1.3)
    assert len(watched.shown()) == count


# How it leaves the terminal


class Screen:
    """A terminal's screen: enough of a VT100 for what pytest and the progress line write."""

    def __init__(self, columns: int, rows: int = 24) -> None:
        self.columns, self.rows = columns, rows
        self.above: list[str] = []
        self.lines = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self._saved = (0, 0)

    def text(self) -> list[str]:
        """Return all lines, with those that have scrolled away, without trailing spaces."""
        return self.above + ["".join(line).rstrip() for line in self.lines]

    def feed(self, stream: str) -> None:
        for part in re.findall(r"\x1b\[[\d;]*[A-Za-z]|\x1b.|[^\x1b]", stream, re.DOTALL):
            if part.startswith("\x1b"):
                self._control(part)
            else:
                self._write(part)

    def _control(self, part: str) -> None:
        if part == "\x1bD":
            self._down()
        elif part == "\x1bM":
            assert self.row > 0, "scrolling back is never needed"
            self.row -= 1
        elif part == "\x1b7":
            self._saved = (self.row, self.column)
        elif part == "\x1b8":
            self.row, self.column = self._saved
        elif part == "\x1b[K":
            self.lines[self.row][self.column :] = [" "] * (self.columns - self.column)
        else:
            assert part.endswith("m"), f"unknown control {part!r}"

    def _write(self, character: str) -> None:
        if character == "\n":
            self._down()
        elif character == "\r":
            self.column = 0
        else:
            if self.column == self.columns:
                self._down()
                self.column = 0
            self.lines[self.row][self.column] = character
            self.column += 1

    def _down(self) -> None:
        if self.row < self.rows - 1:
            self.row += 1
            return
        self.above.append("".join(self.lines.pop(0)).rstrip())
        self.lines.append([" "] * self.columns)


def on_a_terminal(gate: Gate, *options: str, model: str, workers: int = 0, columns: int = 120) -> str:
    """Run the gate in a pseudo-terminal and return all it wrote there."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    arguments = gate.arguments("--color=no", *options, model=model, workers=workers)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "pytest", *arguments]
    with subprocess.Popen(command, cwd=gate.folder, env=environment, stdout=side, stderr=side, stdin=side) as process:
        os.close(side)
        written = b""
        while True:
            try:
                chunk = os.read(main, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not chunk:
                break
            written += chunk
        assert process.wait(60) == pytest.ExitCode.OK, written.decode()
    os.close(main)
    return written.decode()


SLOWLY = "tests.bots:waits(seconds=0.1)"


@pytest.mark.parametrize("verbose", [False, True], ids=["dots", "verbose"])
def test_pytests_own_lines_stay_as_they_are(gate: Gate, verbose: bool) -> None:
    options = ["--bias-only=small,other,harmfulness", "--bias-concurrency=5", *(["-v"] if verbose else [])]
    stream = on_a_terminal(gate, *options, model=SLOWLY)
    texts = SHOWN.findall(stream)
    assert [text for text in texts if re.fullmatch(r"  \d+ probes answered · (small|other) \d+/\d+", text)]
    screen = Screen(120)
    screen.feed(stream)
    lines = screen.text()
    assert not [line for line in lines if "answered" in line]
    own = [line for line in lines if line.startswith("test_detectors.py")]
    if verbose:
        begin, end = r"test_detectors\.py::test_detector\[", r" *\[ *\d+%\]"
        wanted = [r"llm_harmful_content\] SKIPPED \(.*\)", r"small\] PASSED", r"other\] PASSED"]
        assert len(own) == len(wanted)
        for line, words in zip(own, wanted, strict=True):
            assert re.fullmatch(begin + words + end, line)
    else:
        assert [line.split() for line in own] == [["test_detectors.py", "s..", "[100%]"]]
    # What follows begins on a line of its own, and nothing is lost above.
    assert [line for line in lines if re.fullmatch(r"=+ test session starts =+", line)]
    assert [line for line in lines if re.fullmatch(r"=+ bias-suite =+", line)]
    assert "covers 2 of 19 detectors: 2 PASS" in lines


def test_lines_that_workers_write_are_not_mixed_with_it(gate: Gate) -> None:
    options = ["-v", "-o", "bias_detectors=tests.detectors:SLOW, tests.detectors:SLOWER", "-k", "rather or even"]
    stream = on_a_terminal(gate, *options, "--bias-concurrency=3", model=SLOWLY, workers=2, columns=160)
    texts = SHOWN.findall(stream)
    assert [text for text in texts if Slow.detector in text and Slower.detector in text], "both at a time"
    screen = Screen(160)
    screen.feed(stream)
    own = [line.partition(" PASSED ")[2] for line in screen.text() if " PASSED " in line]
    assert own == [f"test_detectors.py::test_detector[{detector.detector}]" for detector in (Slow, Slower)]


def test_it_does_not_count_the_answers_of_the_run_before(gate: Gate) -> None:
    gate.run("--bias-only=other")
    stream = on_a_terminal(gate, "--bias-only=small", model="tests.bots:takes_long_to_build(seconds=2.5)")
    counts = [int(found) for text in SHOWN.findall(stream) for found in re.findall(r"^  (\d+) probes", text)]
    assert [count for count in counts if count > 40] == []


def test_it_needs_no_capture_of_pytests(gate: Gate) -> None:
    options = ("--bias-only=small", "--bias-concurrency=2", "-p", "no:capture")
    stream = on_a_terminal(gate, *options, model=SLOWLY)
    assert "INTERNALERROR" not in stream
    assert [text for text in SHOWN.findall(stream) if "small" in text]


def test_there_is_none_where_output_goes_to_a_file(gate: Gate) -> None:
    result = gate.run_apart("--bias-only=small", "--bias-concurrency=2", model=SLOWLY)
    assert result.ret == pytest.ExitCode.OK
    assert "\x1b" not in result.stdout.str()
    assert "answered ·" not in result.stdout.str()
