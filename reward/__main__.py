"""``python -m reward``, for launchers that take a module: ``accelerate launch -m reward train ...``."""

from __future__ import annotations

from reward.cli import main

if __name__ == "__main__":
    main()
