"""What `reward evaluate` leaves: ``reward.html``, one file that needs no network, and ``reward.json``."""

from __future__ import annotations

import io
import json
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

    template = resources("reward").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    slices = [(f"{group}: {name}", one) for group, members in found.slices.items() for name, one in members.items()]
    plots = {
        "accuracy": _accuracy(list(rows(found))),
        "slices": _accuracy(slices, first=False),
        "reliability": _reliability(found),
        "length": _length(found),
    }
    page: str = environment.from_string(template).render(
        found=found, rows=list(rows(found)), slices=slices, plots=plots
    )
    return page


def _svg(figure: Any) -> str:
    """Return a figure as SVG that can stand inside HTML, the same for the same figures."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "reward"}):  # text as text, which the page colours
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True, bbox_inches="tight")
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]


def _axes(width: float, height: float) -> tuple[Any, Any]:
    # Not pyplot, which keeps every figure and looks for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(_OTHER)
    axes.tick_params(color=_OTHER)
    return figure, axes


def _accuracy(shown: list[tuple[str, Estimate]], *, first: bool = True) -> str:
    figure, axes = _axes(7.0, 0.7 + 0.32 * len(shown))
    for place, (_, one) in enumerate(shown):
        color = _MODEL if place == 0 or not first else _OTHER
        axes.plot([one.lower, one.upper], [place, place], color=color, linewidth=2)
        axes.plot([one.value], [place], "o", color=color)
    axes.axvline(0.5, color=_OTHER, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(shown)), [f"{name} (n={one.pairs})" for name, one in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("share of pairs that are right, with its 95 % interval")
    return _svg(figure)


def _reliability(found: Evaluation) -> str:
    figure, axes = _axes(4.0, 3.4)
    axes.plot([0.5, 1], [0.5, 1], color=_OTHER, linestyle=":", linewidth=1)
    axes.plot([one.confidence for one in found.bins], [one.accuracy for one in found.bins], "o-", color=_MODEL)
    axes.set_xlim(0.48, 1.02)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("how sure the model is")
    axes.set_ylabel("how often it is right")
    return _svg(figure)


def _length(found: Evaluation) -> str:
    figure, axes = _axes(4.0, 3.4)
    for side, color, name, mark in ((True, _MODEL, "chosen", "o"), (False, _OTHER, "rejected", "x")):
        points = [(length, reward) for reward, length, chosen in found.rewards if chosen == side]
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, s=14, color=color, marker=mark, label=name, alpha=0.7)
    axes.set_xlabel("characters of the response")
    axes.set_ylabel("reward")
    axes.legend(frameon=False)
    return _svg(figure)
