"""Heavy imports: the collector is as before afterwards, whatever happens."""

from __future__ import annotations

import gc

import pytest

from bias_suite.imports import heavy


@pytest.fixture(autouse=True)
def enabled() -> object:
    """Leave the collector as it was found."""
    yield gc.enable()
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_is_as_it_was(before: bool) -> None:
    if not before:
        gc.disable()
    with heavy("no_such_package"):
        assert not gc.isenabled()
        kept = [[] for _ in range(10_000)]  # type: list[list[object]]
    assert gc.isenabled() is before
    assert gc.get_freeze_count() >= len(kept)


def test_what_is_loaded_already_is_nothing_to_do() -> None:
    frozen = gc.get_freeze_count()
    with heavy("sys"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_an_import_that_fails_leaves_it_as_it_was() -> None:
    with pytest.raises(ImportError), heavy("no_such_package"):
        raise ImportError("no such package")
    assert gc.isenabled()
