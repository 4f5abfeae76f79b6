"""README, run: `tox -e docs`, or `pytest tests/docs`; a plain `pytest` skips them."""
