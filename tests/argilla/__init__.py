"""Tests through a real Argilla server: `tox -e argilla`, or `pytest tests/argilla`; a plain `pytest` skips them."""
