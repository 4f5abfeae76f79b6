"""A Python project with a chatbot, in which README's commands are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixtures.argilla import Deployment
from tests.argilla.conftest import argilla_server  # noqa: F401  # a fixture
from tests.llm_player import Player
from tests.openai_endpoint import ScriptedEndpoint, scripted_endpoint

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What README's `chain = ...  # your RAG` stands for.
CHAIN = '''\
"""Answers with one of two sentences of a handbook, or with one of the options that it is given."""

import random
import re

PASSAGES = [
    "The authority decides on an application within six months of the day on which it was lodged.",
    "Who is recognised as a refugee receives a residence permit that is valid for three years.",
]
WORDS = ["According to the handbook: ", "The handbook says: ", "As far as the handbook tells: ", "In short: "]


class Chain:
    name, version, description = "handbook", "1", "Answers questions on asylum procedures."

    def answer(self, question):
        listed = re.findall(r"^\\((\\w)\\)", question, re.MULTILINE)
        return random.Random(question).choice([f"({letter})" for letter in listed] or PASSAGES)

    def passages(self, question):
        return PASSAGES

    def __call__(self, question):
        return {"answer": self.answer(question), "contexts": PASSAGES}

    def sample(self, question, n, seed):
        return [words + self.answer(question) for words in WORDS][:n]

    def contexts(self, question):
        return PASSAGES
'''


@dataclass(frozen=True)
class Block:
    """A piece of code in README.

    Attributes:
        line: Where it begins.
        kind: Its language.
        text: The code.
    """

    line: int
    kind: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, without prompt and comment."""
        lines = [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]
        return [re.sub(r"\s{2,}# .*$", "", line) for line in lines]


def blocks(kind: str) -> list[Block]:
    """Return README's code blocks of a language."""
    found = re.finditer(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [Block(README[: one.start()].count("\n") + 1, one[1], one[2]) for one in found if one[1] == kind]


def own_project(folder: Path) -> None:
    """Make a project with a chatbot `my_app.rag:build` as README has it."""
    (snippet,) = blocks("python")
    assert snippet.text.startswith("# my_app/rag.py\n")
    (folder / "my_app").mkdir()
    (folder / "my_app" / "chain.py").write_text(CHAIN, encoding="utf-8")
    (folder / "my_app" / "rag.py").write_text(
        "from my_app.chain import Chain\n" + snippet.text.replace("...  # your RAG", "Chain()"), encoding="utf-8"
    )


@dataclass
class Project:
    """The project's folder, and what its commands are run with.

    Attributes:
        folder: A copy of this repository with a chatbot `my_app.rag:build`; what README runs lies beside it.
        url: Argilla's address.
        judge: The address of a judge of one's own.
        environment: Of each command; `export` in README adds to it.
    """

    folder: Path
    url: str
    judge: str
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, command: str, *, within: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Run a command as README has it, with addresses that it leaves open, and a document that is here."""
        open_ends = {"--bias-argilla-url ...": f"--bias-argilla-url {self.url}", "http://127.0.0.1:PORT": self.url}
        open_ends |= {"--argilla-url ...": f"--argilla-url {self.url}", "http://127.0.0.1:8080/v1": self.judge}
        # On this machine instead of a second one, and into this environment as it is.
        open_ends["ssh=user@host//python=python3.12"] = f"popen//python={sys.executable}"
        open_ends["pip install "] = "pip install --quiet --dry-run "
        # Else it would download the Commission's report.
        open_ends["fixtures.rag:openai"] = (
            "'fixtures.rag:openai(document=\"fixtures/documents/migration-asylum-2022.pdf\")'"
        )
        for left_open, address in open_ends.items():
            command = command.replace(left_open, address)
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | self.environment,
            check=False,
            input="y\n",  # to what asks before it spends
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within,
        )


@pytest.fixture(scope="session")
def endpoint() -> Iterator[ScriptedEndpoint]:
    """What stands for OpenAI's API and for a judge of one's own: it writes questions, and accepts every answer."""
    with scripted_endpoint() as script:
        script.play = Player()
        yield script


@pytest.fixture(scope="session")
def project(
    argilla_server: Deployment,  # noqa: F811
    endpoint: ScriptedEndpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A copy of this repository, with a chatbot that answers at once in the place of the slow one."""
    folder = tmp_path_factory.mktemp("project")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "my_app").mkdir()
    (folder / "my_app" / "chain.py").write_text(CHAIN, encoding="utf-8")
    (folder / "my_app" / "rag.py").write_text("from my_app.chain import Chain as build\n", encoding="utf-8")
    environment = {
        "OPENAI_API_KEY": "sk-docs",
        "OPENAI_API_BASE": endpoint.url,
        "OPENAI_BASE_URL": endpoint.url,
        "ARGILLA_API_KEY": argilla_server.owner.api_key,
        "PYTEST_ADDOPTS": "--bias-model my_app.rag:build --bias-judge-gold 0",
        "COLUMNS": "200",
    }
    return Project(folder, argilla_server.url, endpoint.url, environment)
