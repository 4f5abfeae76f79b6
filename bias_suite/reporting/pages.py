"""What the HTML pages share: templates in which everything is text, the style, and how figures are written."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
from typing import TYPE_CHECKING, Any

from bias_suite.reporting import lines
from bias_suite.reporting.text import figure, visible

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_LONGEST = 2_000


def template(name: str) -> Template:
    """Return a page's template, by its file name in this folder."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bias_suite.reporting", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_inert,
    )
    filters: dict[str, Any] = {
        "digest": lambda text: base64.b64encode(hashlib.sha256(str(text).encode()).digest()).decode(),
        "figure": figure,
        "percent": lambda rate: f"{100 * rate:.1f} %",
        "span": lambda interval, signed=False: lines.span(*interval, signed=signed),
        "thousands": lambda number: f"{number:,}",
        "duration": _duration,
        "moment": _moment,
    }
    environment.filters.update(filters)
    return environment


def _inert(value: Any) -> Any:
    """Return what the template shows, with what cannot be seen as an escape; what is HTML already as it is."""
    return visible(value, _LONGEST) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(hours or minutes)
    return " ".join([*parts, f"{rest} s"]) if seconds >= 10 else f"{seconds:.1f} s"


def _moment(started: str) -> str:
    """Return a point in time for people; the text as it is where it is none."""
    try:
        return f"{datetime.datetime.fromisoformat(started):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return started
