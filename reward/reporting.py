"""What `reward evaluate` leaves: ``reward.html``, one file that needs no network, and ``reward.json``."""

from __future__ import annotations

import io
import json
import unicodedata
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from bias_suite import files
from reward.errors import RewardError
from reward.evaluation import Evaluation
from reward.statistics import Estimate

HTML = "reward.html"
JSON = "reward.json"
_TEMPLATE = "report.html.jinja"
_NAMES = {
    "length": "baseline: length alone",
    "untrained": "baseline: the network before training",
    "style": "the looks of responses alone",
    "fine-tuned": "the fine-tuned model",
    "logistic": "the logistic head",
}
_MODEL, _OTHER = "#1f6feb", "#8a94a3"
_LONGEST_LABEL = 48
_DRAWING = {
    "svg.fonttype": "none",  # text stays text, which the page colours
    "svg.hashsalt": "reward",
    "text.parse_math": False,  # a $ in a name is a $
}
_NAMESPACES = {"": "http://www.w3.org/2000/svg", "xlink": "http://www.w3.org/1999/xlink"}


def figures(found: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON takes it, without the single rewards."""
    told = asdict(found)
    del told["rewards"]
    return {"schema": 1} | told


def rows(found: Evaluation) -> Iterator[tuple[str, Estimate]]:
    """Yield what the tables show, a line each: the model, its checks, the baselines."""
    yield "the model, same instruction", found.same_prompt
    if found.instruction_only is not None:
        yield "the model, pairs as they are", found.accuracy
        yield "the instruction alone (half is right)", found.instruction_only
    for name, one in found.baselines.items():
        yield _NAMES.get(name, name), one


def write(found: Evaluation, folder: Path) -> None:
    """Write both files.

    Raises:
        RewardError: They cannot be written.
    """
    try:
        files.write(folder / JSON, json.dumps(figures(found), indent=2) + "\n")
        files.write(folder / HTML, render(found))
    except OSError as error:
        raise RewardError(f"cannot write to {folder}: {error.strerror}") from None


def render(found: Evaluation) -> str:
    """Return the page."""
    import jinja2
    import matplotlib as mpl

    template = resources("reward").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    slices = [(f"{group}: {name}", one) for group, members in found.slices.items() for name, one in members.items()]
    with mpl.rc_context(_DRAWING), warnings.catch_warnings():
        # Of writing that its own font lacks: the text stays text, and the browser has a font.
        warnings.filterwarnings("ignore", category=UserWarning)
        plots = {
            "accuracy": _accuracy("accuracy", list(rows(found))),
            "slices": _accuracy("slices", slices, first=False),
            "reliability": _reliability(found),
            "length": _length(found),
        }
    page: str = environment.from_string(template).render(
        found=found, rows=list(rows(found)), slices=slices, plots=plots
    )
    return page.encode("utf-8", "backslashreplace").decode()


def _svg(figure: Any, name: str) -> str:
    """Return a figure as SVG that can stand inside HTML beside others, the same for the same figures."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True, bbox_inches="tight")
    for prefix, namespace in _NAMESPACES.items():
        ET.register_namespace(prefix, namespace)
    drawn = ET.fromstring(text.getvalue())  # noqa: S314  # matplotlib's own
    for element in drawn.iter():
        for attribute, value in element.attrib.items():
            if attribute == "id":
                element.set(attribute, f"{name}_{value}")
            elif value.startswith("#") and attribute.endswith("href"):
                element.set(attribute, f"#{name}_{value[1:]}")
            elif value.startswith("url(#"):
                element.set(attribute, f"url(#{name}_{value[5:]}")
    for metadata in drawn.findall(f"{{{_NAMESPACES['']}}}metadata"):
        drawn.remove(metadata)
    return ET.tostring(drawn, encoding="unicode")


def _axes(width: float, height: float) -> tuple[Any, Any]:
    # Not pyplot, which keeps every figure and looks for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(_OTHER)
    axes.tick_params(color=_OTHER)
    return figure, axes


def _accuracy(name: str, shown: list[tuple[str, Estimate]], *, first: bool = True) -> str:
    figure, axes = _axes(7.0, 0.7 + 0.32 * len(shown))
    for place, (_, one) in enumerate(shown):
        color = _MODEL if place == 0 or not first else _OTHER
        axes.plot([one.lower, one.upper], [place, place], color=color, linewidth=2)
        axes.plot([one.value], [place], "o", color=color)
    axes.axvline(0.5, color=_OTHER, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(shown)), [f"{_label(title)} (n={one.pairs})" for title, one in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("share of pairs that are right, with its 95 % interval")
    return _svg(figure, name)


def _label(name: str) -> str:
    """Return a name as a drawing can show it: one line of what XML can hold, not too long."""
    shown = "".join(" " if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in name)
    return shown if len(shown) <= _LONGEST_LABEL else f"{shown[: _LONGEST_LABEL - 1]}…"


def _reliability(found: Evaluation) -> str:
    figure, axes = _axes(4.0, 3.4)
    axes.plot([0.5, 1], [0.5, 1], color=_OTHER, linestyle=":", linewidth=1)
    axes.plot([one.confidence for one in found.bins], [one.accuracy for one in found.bins], "o-", color=_MODEL)
    axes.set_xlim(0.48, 1.02)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("how sure the model is")
    axes.set_ylabel("how often it is right")
    return _svg(figure, "reliability")


def _length(found: Evaluation) -> str:
    figure, axes = _axes(4.0, 3.4)
    for side, color, name, mark in ((True, _MODEL, "chosen", "o"), (False, _OTHER, "rejected", "x")):
        points = [(length, reward) for reward, length, chosen in found.rewards if chosen == side]
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, s=14, color=color, marker=mark, label=name, alpha=0.7)
    axes.set_xlabel("characters of the response")
    axes.set_ylabel("reward")
    axes.legend(frameon=False)
    return _svg(figure, "length")
