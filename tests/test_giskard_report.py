"""Giskard's own web page and AVID file, made from our cases through Giskard's own classes."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite import hooks
from bias_suite.cases import Answer, Case, Status, Verdict, make_case, to_line
from bias_suite.detectors import CATALOGUE, Detector, giskard
from bias_suite.errors import ReportError
from bias_suite.probes import Probe
from bias_suite.reporting.giskard_report import AVID, HTML, SHOWN, GiskardReports, write
from tests.gate_runs import Gate

ROOT = Path(__file__).resolve().parents[1]
IDS = [detector.id for detector in CATALOGUE]


def case(
    number: int = 0,
    status: Status = "failed",
    *,
    detector: str = "llm_stereotypes_detector",
    requirement: str = "The assistant must not stereotype.",
    questions: Sequence[str] = (),
    answers: Sequence[str] = (),
    reason: str = "it stereotypes",
) -> Case:
    """A case as the runner makes it, of as many questions as there are answers."""
    answers = answers or [f"Answer {number}."]
    questions = questions or [f"Question {number}?"] * len(answers)
    probe = Probe(f"p-{number:04}", detector, requirement, tuple(questions), "en", f"c-{number}")
    return make_case(probe, [Answer(text) for text in answers], Verdict(status, reason), model="bot@1")


def written(cases: Iterable[Case], folder: Path, detectors: Sequence[Detector] = CATALOGUE) -> tuple[str, list[Any]]:
    """Write both reports and return the page and the AVID file's reports."""
    page, avid = write(cases, detectors, "bot@1", "answers questions on asylum", folder)
    lines = avid.read_bytes().decode("utf-8")
    assert lines == "" or lines.endswith("\n")
    return page.read_bytes().decode("utf-8"), [json.loads(line) for line in lines.splitlines()]


def results(report: dict[str, Any]) -> dict[str, Any]:
    (metric,) = report["metrics"]
    return metric["results"]


def parsed(report: dict[str, Any]) -> Any:
    """Read a report as AVID's own tools do."""
    import importlib

    return importlib.import_module("avidtools.datamodels.report").Report.model_validate(report)


class Page(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and the text outside scripts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.cells: list[str] = []
        self.text = ""
        self._raw = ""
        self._open: list[int] = []  # the cells that we are in: an issue's examples are a table in a cell
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))
        if tag in ("script", "style"):
            self._raw = tag
        elif tag == "td":
            self._open.append(len(self.cells))
            self.cells.append("")
        elif tag == "br" and self._open:
            self.cells[self._open[-1]] += "\n"

    def handle_endtag(self, tag: str) -> None:
        if tag == self._raw:
            self._raw = ""
        elif tag == "td":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data
            if self._open:
                self.cells[self._open[-1]] += data

    def tabs(self) -> list[str]:
        """The headings, as the page's script finds them."""
        return [str(value) for _, attrs in self.elements for name, value in attrs if name == "data-tab-target"]


# Nothing failed


@pytest.mark.parametrize("cases", [(), [case(0, "passed"), case(1, "error")]], ids=["no cases", "no failures"])
def test_without_failures_the_page_says_so_and_the_avid_file_is_empty(cases: Sequence[Case], tmp_path: Path) -> None:
    html, reports = written(cases, tmp_path)
    assert reports == []
    assert "We found no issues in your model" in Page(html).text
    assert "0\xa0issues detected" in Page(html).text
    assert sorted(path.name for path in tmp_path.iterdir()) == [AVID, HTML]


# Issues


def test_an_issue_is_a_requirement_of_a_detector_with_its_failures_and_answers(tmp_path: Path) -> None:
    other = "The assistant must not insult."
    cases = [case(0), case(1, "passed"), case(2), case(3, "error"), case(4, requirement=other)]
    html, (first, second) = written(cases, tmp_path)
    assert (results(first)["requirement"], results(second)["requirement"]) == (other, cases[0].requirement)
    assert (results(second)["value"], results(second)["judged"]) == (2, 3)
    assert "2\xa0issues detected" in Page(html).text
    cells = [cell.strip() for cell in Page(html).cells]
    assert [cell for cell in cells if "of" in cell and "answers" in cell] == ["1 of 1 answers", "2 of 3 answers"]
    assert "Failing samples\xa0=\xa02" in cells


def test_the_same_requirement_in_two_detectors_is_two_issues(tmp_path: Path) -> None:
    cases = [case(0, detector="llm_harmful_content"), case(1, detector="llm_stereotypes_detector")]
    _, reports = written(cases, tmp_path)
    assert [results(report)["detector"] for report in reports] == ["llm_harmful_content", "llm_stereotypes_detector"]


def test_an_issue_is_told_in_giskard_s_words(tmp_path: Path) -> None:
    html, (report,) = written([case()], tmp_path)
    told = "The model does not satisfy the following requirement: The assistant must not stereotype."
    assert report["problemtype"]["description"]["value"] == told
    assert told in Page(html).text


def test_five_hundred_issues_are_all_there(tmp_path: Path) -> None:
    cases = [
        case(number, detector=IDS[number % len(IDS)], requirement=f"Requirement {number // 3}.")
        for number in range(1500)
    ]
    keys = {(one.detector, one.requirement) for one in cases}
    cases = [one for one in cases if (one.detector, one.requirement) in sorted(keys)[:500]]
    html, reports = written(cases, tmp_path)
    assert len(reports) == 500
    assert {(results(report)["detector"], results(report)["requirement"]) for report in reports} == set(
        sorted(keys)[:500]
    )
    assert "500\xa0issues detected" in Page(html).text
    assert Counter(re.findall(r'<tr class="(gsk-issue\S*)', html)) == {"gsk-issue": 500, "gsk-issue-detail": 500}
    for report in reports:
        assert parsed(report)


# Examples


def test_the_avid_file_has_every_example_and_the_page_says_that_it_shows_some(tmp_path: Path) -> None:
    html, (report,) = written([case(number) for number in range(25)], tmp_path)
    assert results(report)["examples"] == [
        {"Conversation": f"USER: Question {number}?\n\nAGENT: Answer {number}.", "Reason": "it stereotypes"}
        for number in range(25)
    ]
    assert Page(html).text.count("AGENT: ") == SHOWN
    assert [tag for tag, _ in Page(html).elements].count("th") == 2  # headings of columns, and no row numbers
    assert f"25 of 25 answers (here: the first {SHOWN})" in Page(html).text


def test_a_page_with_all_examples_says_nothing_of_it(tmp_path: Path) -> None:
    html, _ = written([case(number) for number in range(SHOWN)], tmp_path)
    assert Page(html).text.count("AGENT: ") == SHOWN
    assert "here: the first" not in html


def test_a_conversation_reads_as_giskard_formats_it(tmp_path: Path) -> None:
    giskard.load()
    from giskard.llm.utils import format_chat_messages

    _, (report,) = written([case(questions=["Who?"], answers=["Nobody."])], tmp_path)
    messages = [{"role": "user", "content": "Who?"}, {"role": "agent", "content": "Nobody."}]
    assert results(report)["examples"][0]["Conversation"] == format_chat_messages(messages)


def test_pairs_of_questions_are_two_conversations(tmp_path: Path) -> None:
    pair = case(detector="llm_basic_sycophancy", questions=["Is it so?", "Is it not so?"], answers=["Yes.", "No."])
    html, (report,) = written([pair], tmp_path)
    assert results(report)["examples"] == [
        {
            "Conversation 1": "USER: Is it so?\n\nAGENT: Yes.",
            "Conversation 2": "USER: Is it not so?\n\nAGENT: No.",
            "Reason": "it stereotypes",
        }
    ]
    assert Page(html).cells[-3:] == [*results(report)["examples"][0].values()]


def test_pairs_beside_single_questions_leave_a_cell_empty(tmp_path: Path) -> None:
    html, (report,) = written([case(0), case(1, answers=["Yes.", "No."])], tmp_path)
    single, _ = results(report)["examples"]
    assert list(single) == ["Conversation 1", "Conversation 2", "Reason"]
    assert single["Conversation 2"] == ""
    assert "NaN" not in html


def test_a_failure_without_a_reason_says_so_in_giskard_s_words(tmp_path: Path) -> None:
    _, (report,) = written([case(reason="")], tmp_path)
    assert results(report)["examples"][0]["Reason"] == "No reason provided."


# Detector, level, model


@pytest.mark.parametrize("detector", CATALOGUE, ids=IDS)
def test_every_detector_s_issue_has_its_level_heading_and_avid_categories(detector: Detector, tmp_path: Path) -> None:
    html, (report,) = written([case(detector=detector.id)], tmp_path)
    assert (results(report)["detector"], results(report)["level"]) == (detector.id, detector.level)
    assert Page(html).tabs() == [detector.group.replace(" ", "_")]
    assert f"1 {detector.level}" in " ".join(Page(html).text.split())
    tags = [tag for tag in detector.taxonomy if tag.startswith("avid-effect:")]
    sep = [category.partition(":")[0] for category in report["impact"]["avid"]["sep_view"]]
    assert sep == [tag.rpartition(":")[2] for tag in tags]
    assert all(tag in Page(html).text for tag in tags)
    domains = {tag.split(":")[1].title() for tag in tags}
    assert report["impact"]["avid"]["risk_domain"] == sorted(domains)
    assert "owasp" not in html
    assert parsed(report)


def test_leaks_are_an_information_leak_in_avid_s_taxonomy(tmp_path: Path) -> None:
    _, (report,) = written([case(detector="canary_disclosure")], tmp_path)
    assert report["impact"]["avid"]["sep_view"] == ["S0301: Information Leak"]
    assert report["impact"]["avid"]["risk_domain"] == ["Security"]


def test_headings_of_giskard_s_detectors_are_giskard_s_own() -> None:
    giskard.load()
    from giskard.scanner.registry import DetectorRegistry

    theirs = DetectorRegistry.get_detector_classes(["text_generation"])
    for detector in CATALOGUE:
        if group := getattr(theirs.get(detector.id), "_issue_group", None):
            assert detector.group == group.name
            assert detector.level == theirs[detector.id]._issue_level.value


def test_giskard_s_headings_come_with_giskard_s_explanations(tmp_path: Path) -> None:
    html, _ = written([case()], tmp_path)
    assert "social stereotypes about genders or minorities" in Page(html).text


def test_the_model_s_name_is_in_every_report(tmp_path: Path) -> None:
    _, reports = written([case(0), case(1, detector="canary_disclosure")], tmp_path)
    assert [report["affects"]["artifacts"] for report in reports] == [[{"type": "Model", "name": "bot@1"}]] * 2


def test_a_model_without_name_and_description_is_called_so(tmp_path: Path) -> None:
    _, avid = write([case()], CATALOGUE, "", "", tmp_path)
    assert json.loads(avid.read_text())["affects"]["artifacts"][0]["name"] == "model under test"


def test_a_detector_that_the_catalogue_does_not_have_comes_last_under_a_heading_of_its_own(tmp_path: Path) -> None:
    cases = [case(0, detector="a_of_theirs"), case(1, detector="b_of_theirs"), case(2, detector=IDS[-1])]
    html, reports = written(cases, tmp_path)
    assert [results(report)["detector"] for report in reports] == [IDS[-1], "a_of_theirs", "b_of_theirs"]
    assert Page(html).tabs()[-1] == "Other"
    assert len(Page(html).tabs()) == 2


def test_a_detector_from_the_ini_has_its_own_heading_and_level(tmp_path: Path) -> None:
    theirs = Detector(
        "theirs", "", (), "", taxonomy=("avid-effect:ethics:E0301",), group="Tone \ud83d <b>", level="minor"
    )
    html, (report,) = written([case(detector="theirs")], tmp_path, [*CATALOGUE, theirs])
    assert results(report)["level"] == "minor"
    assert report["impact"]["avid"]["sep_view"] == ["E0301: Toxicity"]
    assert Page(html).tabs() == [r"Tone_\ud83d_<b>"]


def test_what_giskard_does_not_know_of_a_detector_costs_no_report(tmp_path: Path) -> None:
    tags = ("avid-effect:ethics:E9999", "avid-effect:ethics", "avid-effect:a:b:c", "avid-effect:security:s0301")
    theirs = Detector("theirs", "", (), "", taxonomy=tags, level="terrible")
    _, (report,) = written([case(detector="theirs")], tmp_path, [theirs])
    assert results(report)["level"] == "major"
    assert report["impact"]["avid"]["sep_view"] == ["S0301: Information Leak"]


# Text of models


BRACES = "{0} {model.meta} {person!r} {{}} }{ {level}"


def test_braces_come_out_as_written_everywhere(tmp_path: Path) -> None:
    braces = case(requirement=BRACES, questions=[BRACES], answers=[BRACES], reason=BRACES)
    page, avid = write([braces], CATALOGUE, BRACES, BRACES, tmp_path)
    report = json.loads(avid.read_text())
    assert report["problemtype"]["description"]["value"].endswith(f"requirement: {BRACES}")
    assert report["affects"]["artifacts"][0]["name"] == BRACES
    example = {"Conversation": f"USER: {BRACES}\n\nAGENT: {BRACES}", "Reason": BRACES}
    assert results(report)["examples"] == [example]
    html = Page(page.read_text())
    assert html.cells[-2:] == list(example.values())
    assert f"requirement: {BRACES}" in html.text


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</td></table></div><img src=x onerror=alert(1)>",
    "<!-- <style> <textarea> <title> <plaintext>",
    "&lt;script&gt; &amp;#60; &#60;script&#62;",
    '"><svg/onload=alert(1)> \' onclick="x"',
    "{{ 7*7 }} {% raw %} {# x #}",
    "![x](javascript:alert(1)) [link](http://example.org) <http://example.org>",
    "]]> <![CDATA[ <?php ?>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_element_or_attribute_of_the_page_comes_from_a_text(text: str, tmp_path: Path) -> None:
    harmless, _ = written([case(requirement="r", questions=["q"], answers=["a"], reason="w")], tmp_path)
    hostile, (report,) = written([case(requirement=text, questions=[text], answers=[text], reason=text)], tmp_path)
    page = Page(hostile)
    assert page.elements == Page(harmless).elements
    assert page.cells[-2:] == [f"USER: {text}\n\nAGENT: {text}", text]
    assert f"requirement: {text}" in page.text
    assert results(report)["examples"][0]["Reason"] == text


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    html, _ = written([case(number, detector=name) for number, name in enumerate(IDS)], tmp_path)
    page = Page(html)
    assert {tag for tag, _ in page.elements} & {"link", "iframe", "img", "object", "embed"} == set()
    attributes = {name for _, attrs in page.elements for name, _ in attrs}
    assert attributes & {"src", "srcset", "srcdoc", "onload", "onerror", "onclick"} == set()
    assert "@import" not in html
    assert all(address.startswith("'data:") for address in re.findall(r"url\((.{6})", html))


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("\x00\x1b[31m\x08\x7f", r"\x00\x1b[31m\x08\x7f"),
        ("\u202eabc\u202c\u2066\u2069", r"\u202eabc\u202c\u2066\u2069"),
        ("\u200b\ufeff\u2060", r"\u200b\ufeff\u2060"),
        ("\x85\u2028\u2029", r"\x85\u2028\u2029"),
        ("\ud83d", r"\ud83d"),
        ("\U000e0041", r"\U000e0041"),
        ("a\rb", r"a\rb"),
    ],
)
def test_what_hides_or_turns_text_is_shown_as_an_escape(hidden: str, shown: str, tmp_path: Path) -> None:
    html, (report,) = written([case(requirement=hidden, answers=[hidden], reason=hidden)], tmp_path)
    assert Page(html).cells[-1] == shown
    assert Page(html).cells[-2].endswith(f"AGENT: {shown}")
    # The AVID file has the text itself, but for half characters, which no UTF-8 file can hold.
    kept = hidden.replace("\ud83d", r"\ud83d")
    assert results(report)["examples"][0]["Reason"] == kept
    assert report["problemtype"]["description"]["value"].endswith(f"requirement: {kept}")
    assert parsed(report)


@pytest.mark.parametrize(
    "text", ["Où ? – «oui»", "أين تقع؟", "می\u200cخواهم", "中文", "👩\u200d👩\u200d👧", "1\u202f000\xa0€"]
)
def test_readable_text_stays_as_it_is(text: str, tmp_path: Path) -> None:
    html, (report,) = written([case(reason=text)], tmp_path)
    assert Page(html).cells[-1] == text
    assert results(report)["examples"][0]["Reason"] == text
    assert text in (tmp_path / AVID).read_text(encoding="utf-8")


def test_lines_of_an_answer_are_lines_on_the_page_and_a_backslash_stays_one(tmp_path: Path) -> None:
    html, _ = written([case(reason="one\ntwo\r\nthree\tC:\\new\\\nend")], tmp_path)
    assert Page(html).cells[-1].replace("\u2060", "") == "one\ntwo\nthree C:\\new\\\nend"


def test_a_megabyte_is_cut_on_the_page_and_further_on_in_the_avid_file(tmp_path: Path) -> None:
    html, (report,) = written([case(answers=["é" * 1_000_000])], tmp_path)
    told = "… (cut; 1,000,000 characters, whole in cases.jsonl)"
    shown, kept = Page(html).cells[-2], results(report)["examples"][0]["Conversation"]
    assert shown.endswith("é" * 4000 + told)
    assert shown.count("é") == 4000
    assert kept.endswith("é" * 100_000 + told)
    assert kept.count("é") == 100_000


def test_ten_thousand_characters_are_whole_in_the_avid_file(tmp_path: Path) -> None:
    _, (report,) = written([case(answers=["x" * 10_000])], tmp_path)
    assert results(report)["examples"][0]["Conversation"].endswith("AGENT: " + "x" * 10_000)


any_text = st.text(st.characters(exclude_categories=()), max_size=40)


@settings(deadline=None, max_examples=50)
@given(requirement=any_text, question=any_text, answer=any_text, reason=any_text, model=any_text)
def test_any_text_gives_whole_reports(
    tmp_path_factory: pytest.TempPathFactory, requirement: str, question: str, answer: str, reason: str, model: str
) -> None:
    one = case(requirement=requirement, questions=[question], answers=[answer], reason=reason)
    page, avid = write([one], CATALOGUE, model, model, tmp_path_factory.mktemp("any"))
    (line,) = avid.read_bytes().decode("utf-8").splitlines()
    assert parsed(json.loads(line))
    elements = [tag for tag, _ in Page(page.read_bytes().decode("utf-8")).elements if tag != "br"]
    plain, _ = write([case()], CATALOGUE, "", "", tmp_path_factory.mktemp("plain"))
    assert elements == [tag for tag, _ in Page(plain.read_bytes().decode("utf-8")).elements if tag != "br"]


# The same cases, the same reports


def many() -> list[Case]:
    cases = [case(number, detector=IDS[number % len(IDS)], requirement=f"R{number % 7}") for number in range(60)]
    return cases + [replace(one, trial=1, id=one.id[::-1], answer="Again.") for one in cases]


def test_the_order_of_the_cases_does_not_matter(tmp_path: Path) -> None:
    shuffled = many()
    random.Random(1).shuffle(shuffled)
    first, second = (write(cases, CATALOGUE, "bot", "", tmp_path / str(id(cases))) for cases in (many(), shuffled))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_detectors_come_in_the_catalogue_s_order(tmp_path: Path) -> None:
    _, reports = written(reversed(many()), tmp_path)
    assert list(dict.fromkeys(results(report)["detector"] for report in reports)) == IDS


PROGRAM = """
import sys; from pathlib import Path
from bias_suite.cases import read_cases
from bias_suite.detectors import CATALOGUE
from bias_suite.reporting.giskard_report import write
folder = Path(sys.argv[1])
write(read_cases(folder / "cases.jsonl"), CATALOGUE, "bot", "", folder / sys.argv[2])
"""


def test_processes_write_the_same_without_a_word_or_a_warning(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text("".join(map(to_line, many())), encoding="utf-8")
    for seed in ("1", "3"):  # sets of AVID's domains come in another order under these
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path), seed]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    for name in (HTML, AVID):
        one, two = ((tmp_path / seed / name).read_text(encoding="utf-8") for seed in ("1", "3"))
        dateless = re.compile(r'"reported_date": "[\d-]+"')  # a test may run at midnight
        assert dateless.sub("", one) == dateless.sub("", two)


# The files


def test_a_run_without_failures_replaces_the_last_run_s_reports(tmp_path: Path) -> None:
    written([case()], tmp_path)
    html, reports = written([], tmp_path)
    assert reports == []
    assert "We found no issues" in html


def test_answers_are_readable_for_their_owner_alone(tmp_path: Path) -> None:
    for path in write([case()], CATALOGUE, "bot", "", tmp_path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    assert all(path.exists() for path in write([], CATALOGUE, "bot", "", tmp_path / "new" / "reports"))


def test_a_file_in_the_folder_s_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(ReportError, match=r"cannot write .*/giskard\.html: (Not a directory|File exists)"):
        write([], CATALOGUE, "bot", "", tmp_path / "reports")


@pytest.mark.parametrize("name", [HTML, AVID])
def test_what_cannot_be_replaced_is_an_error_that_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ReportError, match=rf"cannot write .*{name}: Is a directory"):
        write([case()], CATALOGUE, "bot", "", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {HTML, AVID}


def test_a_write_that_fails_in_the_middle_leaves_the_old_files(tmp_path: Path) -> None:
    # More than a file may have here is what a full disk looks like.
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n" + PROGRAM
    )
    (tmp_path / "cases.jsonl").write_text(to_line(case()), encoding="utf-8")
    (tmp_path / HTML).write_text("old page")
    (tmp_path / AVID).write_text("old lines")
    command = [sys.executable, "-c", program, str(tmp_path), "."]
    run = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert run.stderr.splitlines()[-1].startswith("bias_suite.errors.ReportError: cannot write ")
    assert run.stderr.splitlines()[-1].endswith("giskard.html: File too large")
    assert {path.name for path in tmp_path.iterdir()} == {HTML, AVID, "cases.jsonl"}
    assert ((tmp_path / HTML).read_text(), (tmp_path / AVID).read_text()) == ("old page", "old lines")


def test_cases_that_cannot_be_read_leave_the_old_files(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text("[]\n")
    (tmp_path / HTML).write_text("old page")
    with pytest.raises(ReportError, match="not a case"):
        finish(GiskardReports(CATALOGUE, ""), tmp_path)
    assert (tmp_path / HTML).read_text() == "old page"


# The plugin


def finish(plugin: GiskardReports, folder: Path, model: str | None = "bot@2") -> None:
    """Tell the plugin, as a run does, that the run is over."""
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hooks)
    manager.register(plugin)
    manager.check_pending()
    detectors = [{"verdict": "fail"}, {"verdict": "error"}, {"verdict": "not_evaluated"}]
    run = {"model": model, "probes_sha256": "ab" * 32}
    manager.hook.pytest_bias_run_finished(summary={"run": run, "detectors": detectors}, report_dir=folder, config=None)


def test_a_finished_run_s_cases_become_both_reports(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text("".join(map(to_line, many())), encoding="utf-8")
    plugin = GiskardReports(CATALOGUE, "answers questions")
    assert plugin.written == []
    finish(plugin, tmp_path)
    assert plugin.written == [tmp_path / HTML, tmp_path / AVID]
    reports = [json.loads(line) for line in plugin.written[1].read_text(encoding="utf-8").splitlines()]
    assert sum(len(results(report)["examples"]) for report in reports) == 120
    assert {report["affects"]["artifacts"][0]["name"] for report in reports} == {"bot@2"}


def test_a_run_without_cases_and_model_has_reports_without_issues(tmp_path: Path) -> None:
    plugin = GiskardReports(CATALOGUE, "")
    finish(plugin, tmp_path, model=None)
    assert [path.exists() for path in plugin.written] == [True, True]
    page = plugin.written[0].read_text(encoding="utf-8")
    assert "We found no issues" in page
    assert "ended with 1 ERROR, 1 FAIL, 1 NOT EVALUATED." in page


def test_a_run_that_evaluated_nothing_has_no_reports_to_look_clean(tmp_path: Path) -> None:
    plugin = GiskardReports(CATALOGUE, "")
    nothing = {"run": {"model": None, "probes_sha256": "ab" * 32}, "detectors": [{"verdict": "not_evaluated"}]}
    plugin.pytest_bias_run_finished(nothing, tmp_path, config=None)  # type: ignore[arg-type]
    assert (plugin.written, list(tmp_path.iterdir())) == ([], [])


# The plan


def test_both_reports_name_the_plan(tmp_path: Path) -> None:
    page, avid = write([case()], CATALOGUE, "bot", "", tmp_path, "cd" * 32)
    assert f"Plan {'cd' * 32}." in page.read_text(encoding="utf-8")
    line = json.loads(avid.read_text(encoding="utf-8"))
    assert line["metrics"][0]["results"]["plan_sha256"] == "cd" * 32


# In a run


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_writes_both_and_says_where(gate: Gate, workers: int) -> None:
    result = gate.run_apart(
        "--bias-only=small", "--bias-giskard-reports=yes", model="tests.bots:says_sorry(every=2)", workers=workers
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    for name in (HTML, AVID):
        assert f"Wrote {gate.reports / name}" in result.stdout.str()
    lines = [json.loads(line) for line in (gate.reports / AVID).read_text().splitlines()]
    assert {line["metrics"][0]["results"]["detector"] for line in lines} == {"small"}
    assert sum(len(line["metrics"][0]["results"]["examples"]) for line in lines) == 20


def test_a_run_without_them_leaves_none_of_an_earlier_run(gate: Gate) -> None:
    gate.reports.mkdir()
    (gate.reports / HTML).write_text("of the last run")
    gate.run("--bias-only=small", "--bias-giskard-reports=no")
    assert not (gate.reports / HTML).exists()


def test_reports_that_cannot_be_written_fail_the_run_with_a_line(gate: Gate) -> None:
    (gate.reports / HTML).mkdir(parents=True)
    (gate.reports / HTML / "keep.txt").touch()
    result = gate.run_apart("--bias-only=small", "--bias-giskard-reports=yes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert HTML in result.stderr.str() + result.stdout.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
