"""The report is one inert file that says what was found, in light and dark, whatever the names in it are."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reward import reporting, style
from reward.errors import RewardError
from reward.evaluation import Evaluation, examine
from tests.chromium import contrast
from tests.test_reward_evaluation import at_random, constant, fair, pair, polite, truth, tutorial

_VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = (
    "<script>alert(1)</script>",
    "</svg><img src=x onerror=alert(1)>",
    "]]><!--",
    "--><b>",
    '" onload="alert(1)',
    "&lt;b&gt; &amp;",
    "{{ 7 * 7 }}{% raw %}",
    "دين\u200f",
    "\u202etxet",
    "naïve — “quoted”",
)
MATHS = ("$x^2$", "a$b$c_{", r"\$", r"$\frac{", r"$\frac{$", "$-->$", "$<b>$", "%d {} {0}")


def better(**changes: Any) -> Evaluation:
    found = examine(
        truth,
        fair(40, **changes),
        others={"logistic": at_random(1), "untrained": constant},
        baselines={"style": style.fit(fair(20))},
        name="reward-model@c0ffee",
        left_out=120,
    )
    assert found.verdict == "better"
    return found


def not_better() -> Evaluation:
    found = examine(polite, tutorial(40, lambda n: (f"fair {n}", f"odd {n}")), name="reward-model@c0ffee")
    assert found.verdict == "not better"
    return found


def named(name: str) -> Evaluation:
    """An evaluation in which whatever can have another name has this one."""
    return replace(better(axis=name, detector=name), model=name, method=name, warnings=(f"SLICE: {name}",))


@dataclass
class Page(HTMLParser):
    """What a browser would see: elements and text, with the check that every element is closed."""

    text: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


def inert(html: str) -> Page:
    """Check that nothing in a page runs or is fetched."""
    page = parsed(html)
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "object", "embed", "link", "img", "foreignobject", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"href", "xlink:href", "src", "srcset", "action", "data"}:
                assert (value or "").startswith("#")
            assert re.fullmatch(r"#\w+", "".join(re.findall(r"url\(([^)]*)\)", value or "")) or "#none")
    styles = " ".join(re.findall(r"<style.*?</style>", html, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles
    return page


def drawings(html: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]  # noqa: S314 - our own


def labels(html: str) -> list[str]:
    return ["".join(text.itertext()) for one in drawings(html) for text in one.iter("{http://www.w3.org/2000/svg}text")]


# Figures


@pytest.mark.parametrize("make", [better, not_better])
def test_the_figures_are_the_evaluation_but_for_single_rewards(make: Callable[[], Evaluation]) -> None:
    found = make()
    told = reporting.figures(found)
    expected = asdict(found) | {"schema": 1}
    del expected["rewards"]
    again = json.loads(json.dumps(told, allow_nan=False))
    assert again == json.loads(json.dumps(expected))
    assert again["same_prompt"] == asdict(found.same_prompt)
    assert again["verdict"] == found.verdict


def test_both_files_are_written_and_the_folder_with_them(tmp_path: Path) -> None:
    found = better()
    folder = tmp_path / "new" / "reports"
    reporting.write(found, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["reward.html", "reward.json"]
    text = (folder / "reward.json").read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(json.dumps(reporting.figures(found)))
    assert text.endswith("}\n")
    assert (folder / "reward.html").read_text(encoding="utf-8") == reporting.render(found)


def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "reports"):
        with pytest.raises(RewardError, match=r"^cannot write to .*file") as caught:
            reporting.write(better(), folder)
        assert "\n" not in str(caught.value)
    (tmp_path / "reports" / "reward.html").mkdir(parents=True)
    with pytest.raises(RewardError, match="cannot write to"):
        reporting.write(better(), tmp_path / "reports")


# The page


def test_the_page_says_what_was_found() -> None:
    found = replace(better(), length_correlation=-0.256)
    said = inert(reporting.render(found)).said()
    assert "Reward model: better than the baselines" in said
    assert "reward-model@c0ffee, the fine-tuned model, on 40 held-out pairs of 40 records" in said
    assert "120 pairs of records that it learned from are left out" in said
    for name, one in reporting.rows(found):
        interval = f"{one.lower:.3f} to {one.upper:.3f}"
        assert f"{name} {one.value:.3f} {interval} {one.pairs} {one.records} {one.ties}" in said
    assert "length +50.0 +33.8 to +66.2" in said
    assert "instruction alone" not in said
    assert f"Expected calibration error {found.calibration_error:.3f}" in said
    assert "length differences: -0.26" in said


def test_the_page_says_why_it_is_not_better() -> None:
    found = not_better()
    said = inert(reporting.render(found)).said()
    assert "Not better than the baselines" in said
    assert "Warnings" in said
    for line in (*found.reasons, *found.warnings):
        assert line in said
    assert "the model, pairs as they are 1.000" in said
    assert "the instruction alone (half is right) 1.000" in said
    assert "left out" not in said
    assert "length differences: not defined" in said


def test_without_warnings_there_is_no_heading_for_them() -> None:
    assert "Warnings" not in inert(reporting.render(replace(better(), warnings=()))).said()


def test_each_bar_has_its_name_and_number_of_pairs() -> None:
    found = better()
    shown = labels(reporting.render(found))
    for name, one in reporting.rows(found):
        assert f"{name} (n={one.pairs})" in shown
    for group, members in found.slices.items():
        for name, one in members.items():
            assert f"{group}: {name} (n={one.pairs})" in shown


def test_the_four_drawings_are_well_formed() -> None:
    assert [one.tag for one in drawings(reporting.render(better()))] == ["{http://www.w3.org/2000/svg}svg"] * 4


def test_what_a_drawing_refers_to_is_the_same_wherever_it_is_drawn() -> None:
    # Four drawings in one page share its ids: a browser takes the first of each.
    html = reporting.render(better())
    drawn: dict[str, set[str]] = {}
    for one in drawings(html):
        for element in one.iter():
            if "id" in element.attrib:
                drawn.setdefault(element.attrib["id"], set()).add(re.sub(r"\s+", " ", ET.tostring(element).decode()))
    used = set(re.findall(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)', html))
    for name in {name for names in used for name in names if name}:
        assert len(drawn[name]) == 1


def test_every_id_of_the_page_is_its_own() -> None:
    ids = [attributes["id"] for _, attributes in parsed(reporting.render(better())).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("make", [better, not_better])
def test_the_same_evaluation_is_the_same_page(make: Callable[[], Evaluation]) -> None:
    assert reporting.render(make()) == reporting.render(make())


# Hostile names


def test_hostile_names_are_shown_as_they_are() -> None:
    found = not_better()
    every = dict.fromkeys(HOSTILE, found.same_prompt)
    found = replace(
        found,
        model=HOSTILE[0],
        method=HOSTILE[1],
        reasons=HOSTILE,
        warnings=HOSTILE,
        baselines=found.baselines | every,
        advantages=dict.fromkeys(HOSTILE, found.advantages["length"]),
        slices={"axis": every, "detector": every, "length": {}},
    )
    html = reporting.render(found)
    said, shown = inert(html).said(), set(labels(html))
    assert f"{HOSTILE[0]}, the {HOSTILE[1]} model, on" in said
    for name in HOSTILE:
        assert said.count(" ".join(name.split())) >= 3 + 2 + 2  # lists and tables, and the drawings
        assert {f"{name} (n=40)", f"axis: {name} (n=40)", f"detector: {name} (n=40)"} <= shown


def test_dollars_are_no_mathematics() -> None:
    for name in MATHS:
        html = reporting.render(named(name))
        inert(html)
        assert {f"axis: {name} (n=40)", f"detector: {name} (n=40)"} <= set(labels(html))


@pytest.mark.parametrize("name", MATHS[:2])
def test_dollars_do_no_harm(name: str) -> None:
    inert(reporting.render(named(name)))


def test_writing_that_matplotlib_s_font_lacks_is_no_warning() -> None:
    for name in ("年齢", "나이", "உயரம்"):
        assert f"axis: {name} (n=40)" in labels(reporting.render(named(name)))


def test_control_characters_are_no_warning() -> None:
    for name in ("a\tb", "a\x00b", "a\x1bb"):
        inert(reporting.render(named(name)))


def test_a_long_name_leaves_room_for_the_drawing() -> None:
    for name in ("x" * 120, "word " * 40, "Ω" * 300):
        inert(reporting.render(named(name)))


def test_a_lone_surrogate_in_a_name_is_written(tmp_path: Path) -> None:
    reporting.write(replace(better(), model="models/\udcff@c0ffee"), tmp_path)  # a folder that is not UTF-8
    reporting.write(named("\ud800"), tmp_path)


# Sizes


def test_two_hundred_slices_are_all_drawn() -> None:
    pairs = [pair(n, f"fair {n}", f"odd {n}", axis=f"axis {n % 200}") for n in range(200)]
    html = reporting.render(examine(truth, pairs))
    shown = labels(html)
    assert all(f"axis: axis {n} (n=1)" in shown for n in range(200))
    assert len(html) < 1_000_000


def test_five_thousand_pairs_make_a_file_that_a_browser_opens() -> None:
    html = reporting.render(examine(truth, fair(5000)))
    assert len(html.encode()) < 3_000_000


def test_one_pair_is_drawn() -> None:
    found = examine(truth, fair(1))
    assert "1 held-out pairs of 1 records" in inert(reporting.render(found)).said()


def test_equal_rewards_and_lengths_are_drawn() -> None:
    inert(reporting.render(examine(constant, [pair(n, f"yes {n}", f"not {n}") for n in range(9)])))


# In a browser


_COLOURS = """selector => {
    const rgb = color => color.match(/[0-9.]+/g).slice(0, 3).map(Number);
    const ground = rgb(getComputedStyle(document.body).backgroundColor);
    return [...document.querySelectorAll(selector)].map(element => {
        const style = getComputedStyle(element);
        return [rgb(element instanceof SVGElement ? style.fill : style.color), ground];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_a_browser_shows_it_and_asks_for_nothing_else(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    found = replace(
        not_better(),
        warnings=("LENGTH: it rewards longer responses", *(f"SLICE: {name}" for name in HOSTILE)),
        slices={"axis": dict.fromkeys(HOSTILE, not_better().same_prompt)},
    )
    reporting.write(found, tmp_path)
    address = (tmp_path / reporting.HTML).as_uri()
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    asked: list[str] = []
    troubles: list[Any] = []

    def note(event: Any) -> None:  # playwright sets an attribute on it, which `troubles.append` cannot have
        troubles.append(event)

    page.on("request", lambda request: asked.append(request.url))
    for event in ("console", "pageerror", "dialog"):
        page.on(event, note)
    page.goto(address, wait_until="networkidle")
    assert (asked, troubles) == ([address], [])

    assert page.locator("h1").is_visible()
    assert page.locator("h1").inner_text() == "Not better than the baselines"
    shown = page.locator("svg text").all_text_contents()
    assert all(f"axis: {name} (n=40)" in shown for name in HOSTILE)
    drawings = [page.locator("svg").nth(n).bounding_box() for n in range(4)]
    assert all(box["width"] > 200 and box["height"] > 30 for box in drawings)

    (body,) = page.evaluate(_COLOURS, "body")
    assert (contrast(body[1], (0, 0, 0)) < 2) == (scheme == "dark")
    assert [drawn for drawn in page.evaluate(_COLOURS, "svg text") if drawn != body] == []
    for selector in ("svg text", "h1", "p", "li", "td", "th", "figcaption"):
        assert min(contrast(*colours) for colours in page.evaluate(_COLOURS, selector)) >= 4.5
    page.close()


def test_on_a_telephone_only_tables_scroll(browser: Any, tmp_path: Path) -> None:
    reporting.write(replace(not_better(), model="/srv/models/" + "long-name-of-a-folder" * 4), tmp_path)
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto((tmp_path / reporting.HTML).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()
