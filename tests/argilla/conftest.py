"""Fixtures of the tests that need an Argilla server."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.argilla import Deployment
from tests.argilla.server import deployment


@pytest.fixture(scope="session")
def argilla_server() -> Iterator[Deployment]:
    """Return the running server that the whole session shares: use names of your own for what you put there."""
    with deployment() as running:
        yield running


@pytest.fixture(scope="session")
def rg() -> Any:
    """Return Argilla's SDK, under the name that its users give it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its use of names that pydantic gave up
        import argilla
    return argilla


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the SDK's open sockets be: it has no way to close a client, and leaves one behind where it cannot connect."""
    for item in items:
        if "tests/argilla/" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))
