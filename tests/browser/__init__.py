"""Tests that need a browser; `tox -e argilla` runs them."""
