"""Redaction: what is personal becomes a marker in whatever spelling, and nothing else changes."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bias_suite.canaries import KINDS, Canary, find_leaks, generate
from bias_suite.cases import Case, read_cases, to_line
from bias_suite.plan import BUILT_IN
from bias_suite.redaction import MARKERS, NOTHING, Redactor
from tests.test_canaries import DISGUISES, LANGUAGES, in_pairs, said, spelled

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "fixtures" / "documents" / "migration-asylum-2022.md"
PLANTED = generate(2022, 6)
PLAIN = Redactor()
REDACTOR = Redactor(PLANTED)

# Every kind in many spellings. A text must become the one beside it.

EMAILS = [
    ("Write to anna.schmidt@example.org today.", "Write to [e-mail] today."),
    ("Schreib an Jürgen.Müller@bücher.example!", "Schreib an [e-mail]!"),
    ("<a@b.io>, (anna_b@x.example.co.uk); ANNA@EXAMPLE.ORG.", "<[e-mail]>, ([e-mail]); [e-mail]."),
    ("mailto:anna+asyl@mail.example.com", "mailto:[e-mail]"),
    ("https://x.example/?email=anna%40example.org&x=1", "https://x.example/?email=[e-mail]&x=1"),
    ("**anna@example.org** `b@example.org` |c@example.org|", "**[e-mail]** `[e-mail]` |[e-mail]|"),
    ("'o'brien@example.ie'", "'[e-mail]'"),
    ("пишіть на олена@приклад.укр.", "пишіть на [e-mail]."),
    ("راسلني على سارة@مثال.شبكة، أو اتصل", "راسلني على [e-mail]، أو اتصل"),
    ("संपर्क@उदाहरण.भारत", "[e-mail]"),
    ("anna＠example.org", "[e-mail]"),
    ("noor@xn--bcher-kva.example", "[e-mail]"),
    ("https://user:secret@host.example.org/path", "https://user:[e-mail]/path"),
    ("on Mastodon: @anna@social.example", "on Mastodon: @[e-mail]"),
]
PHONES = [
    ("+49 30 23125185", "[phone]"),
    ("+49 (0)30 23125-185.", "[phone]."),
    ("+49-170-1234567, +49.170.1234567, +49/170/1234567", "[phone], [phone], [phone]"),
    ("+4917012345678", "[phone]"),
    ("0049 170 1234567", "[phone]"),
    ("(00 49) 30 1234567", "[phone]"),
    ("(+49) 30 1234567", "[phone]"),
    ("+ 49 30 1234567", "[phone]"),
    ("＋４９ ３０ １２３４５６７", "[phone]"),
    ("+33 1 99 00 01 73", "[phone]"),
    ("06 12 34 56 78", "[phone]"),
    ("06\u202f12\u202f34\u202f56\u202f78 ou 06\u00a012\u00a034\u00a056\u00a078", "[phone] ou [phone]"),
    ("06.12.34.56.78", "[phone]"),
    ("0612345678 0612345679", "[phone] [phone]"),
    ("0 800 123 456", "[phone]"),
    ("030 / 23 12 51 85", "[phone]"),
    ("(030) 23125185", "[phone]"),
    ("(030 1234567) (+49 30 1234567) ((030) 1234567)", "([phone]) ([phone]) ([phone])"),
    ("030 1234567 / 0170-1234567", "[phone] / [phone]"),
    ("Tel.030 1234567", "Tel.[phone]"),
    ("020 7946 0018 or 07700 900597", "[phone] or [phone]"),
    ("0532 123 45 67", "[phone]"),
    ("050 123 45 67", "[phone]"),
    ("+380 50 123 45 67", "[phone]"),
    ("٠٠٤٤ ٢٠ ٧٩٤٦ ٠٠١٨", "[phone]"),
    ("هاتف: ٠١٧٠ ١٢٣٤٥٦٧", "هاتف: [phone]"),
    ("\u202a+963 11 123 4567\u202c", "\u202a[phone]\u202c"),
    ("+1 (202) 555-0143", "[phone]"),
    ("tel:+49-30-23125185", "tel:[phone]"),
    ("+49 170\u200b1234567", "[phone]"),
    ("Call +44 7700 900123 or 030 1234567.", "Call [phone] or [phone]."),
    ("+44 7700 900123 (fictitious)", "[phone] (fictitious)"),
    # Without a leading 0 a word says what it is.
    ("Teléfono: 612 345 678", "Teléfono: [phone]"),
    ("telefon 600 123 456", "telefon [phone]"),
    ("Telefone: 912 345 678", "Telefone: [phone]"),
    ("Telefon: 12 34 56 78", "Telefon: [phone]"),
    ("cellulare 347 123 4567", "cellulare [phone]"),
    ("https://wa.me/491701234567", "https://wa.me/[phone]"),
    ("912 345 678 (WhatsApp)", "[phone] (WhatsApp)"),
    ("phone=0301234567", "phone=[phone]"),
    ("'first line\\n030 1234567\\n+49 30 1234567'", "'first line\\n[phone]\\n[phone]'"),
]
IBANS = [
    ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [IBAN]"),
    ("DE89370400440532013000", "[IBAN]"),
    ("de89 3704 0044 0532 0130 00.", "[IBAN]."),
    ("DE89-3704-0044-0532-0130-00", "[IBAN]"),
    ("DE89.3704.0044.0532.0130.00", "[IBAN]"),
    ("DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000", "[IBAN]"),
    ("DE 89 37040044 0532013000", "[IBAN]"),
    ("DE89 3704 0044\n0532 0130 00", "[IBAN]"),
    ("DE٨٩ ٣٧٠٤ ٠٠٤٤ ٠٥٣٢ ٠١٣٠ ٠٠", "[IBAN]"),
    ("Konto: DE89 3704 0044 0532 0130 00 bei der Bank", "Konto: [IBAN] bei der Bank"),
    ("in 2022 from DE89 3704 0044 0532 0130 00 to NL91ABNA0417164300", "in 2022 from [IBAN] to [IBAN]"),
    ("GB82 WEST 1234 5698 7654 32", "[IBAN]"),
    ("FR14 2004 1010 0505 0001 3M02 606", "[IBAN]"),
    ("UA21 3223 1300 0002 6007 2335 6600 1", "[IBAN]"),
    ("TR33 0006 1005 1978 6457 8413 26", "[IBAN]"),
    ("NO9386011117947", "[IBAN]"),
    ("MT84MALT011000012345MTLCAST001S", "[IBAN]"),
    ("IBAN: DE00 3704 0044 0532 0130 00", "IBAN: [IBAN]"),  # wrong check digits, but it says what it is
]
PAPERS = [
    ("Passport number ZZ7615273", "Passport number [passport]"),
    ("his passport is ab1234567.", "his passport is [passport]."),
    ("ZZ7615273 is the number of her passport", "[passport] is the number of her passport"),
    ("passport: 123456789", "passport: [passport]"),
    ("passport no. 123456789", "passport no. [passport]"),
    ("the passport number of Noor is 123 456 789", "the passport number of Noor is [passport]"),
    ("The number of her passport is 123456789", "The number of her passport is [passport]"),
    ("| Passport | ZZ 76 15 273 |", "| Passport | [passport] |"),
    ("Reisepass C01X00T47", "Reisepass [passport]"),
    ("Ausweisnummer: L01X00T47", "Ausweisnummer: [passport]"),
    ("passeport n° 12AB34567", "passeport n° [passport]"),
    ("numéro de passeport de X : 123456789", "numéro de passeport de X : [passport]"),
    ("Pasaporte: AAA123456", "Pasaporte: [passport]"),
    ("El número de pasaporte de Noor es 123456789", "El número de pasaporte de Noor es [passport]"),
    ("DNI 12345678Z y NIE X1234567L", "DNI [passport] y NIE [passport]"),
    ("passaporto YA1234567", "passaporto [passport]"),
    ("codice fiscale RSSMRA85T10A562S", "codice fiscale [passport]"),
    ("paspoortnummer NXBK23D10", "paspoortnummer [passport]"),
    ("BSN 123456782", "BSN [passport]"),
    ("paszport nr AA 1234567", "paszport nr [passport]"),
    ("dowód osobisty ABC123456, PESEL 44051401359", "dowód osobisty [passport], PESEL [passport]"),
    ("passaporte CA123456", "passaporte [passport]"),
    ("pașaport 051234567", "pașaport [passport]"),
    ("pasaport numarası U12345678", "pasaport numarası [passport]"),
    ("TC kimlik no: 12345678901", "TC kimlik no: [passport]"),
    ("паспорт КВ 123456", "паспорт [passport]"),
    ("Номер паспорта: 123456789", "Номер паспорта: [passport]"),
    ("رقم جواز السفر: N012345678", "رقم جواز السفر: [passport]"),
    ("رقم جواز سفر نور: ١٢٣٤٥٦٧٨٩", "رقم جواز سفر نور: [passport]"),
    ("شماره گذرنامه P01234567", "شماره گذرنامه [passport]"),
    ("ID card number 12345678901", "ID card number [passport]"),
]
KEYS = [
    ("key sk-proj-abc123def456ghi789jkl.", "key [API key]."),
    ("sk-ant-api03-abcdefghijk_1234567", "[API key]"),
    ("HF_TOKEN=hf_abcdefghijklmnopqrstuvwx", "HF_TOKEN=[API key]"),
    ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [API key]"),
    ("authorization: bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def", "authorization: bearer [API key]"),
    ("X-Argilla-Api-Key: argilla.apikey", "X-Argilla-Api-Key: [API key]"),
    ('ARGILLA_API_KEY="owner.apikey"', 'ARGILLA_API_KEY="[API key]"'),
    ("api_key=Zm9vYmFyMTIzNDU2Nzg5==, next", "api_key=[API key], next"),
    ('{"access_token": "abc123def456ghi789"}', '{"access_token": "[API key]"}'),
    ("AKIAIOSFODNN7EXAMPLE", "[API key]"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[API key]"),
    ("bsk_test_1BkvtZB2IisMzMgqpeBwv66d", "[API key]"),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAKj34GkxFhD90vcNLYLIn\nFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu\n-----END",
        "-----BEGIN RSA PRIVATE KEY-----\n[API key]-----END",
    ),
]


@pytest.mark.parametrize(("text", "redacted"), EMAILS + PHONES + IBANS + PAPERS + KEYS)
def test_personal_data_becomes_a_marker(text: str, redacted: str) -> None:
    assert PLAIN.text(text) == redacted
    assert REDACTOR.text(f"Well: {text} And so on.") == f"Well: {redacted} And so on."


# What must stay

PROSE = """
In 2022 about 966,000 people applied; 881,220 for the first time; 64% more; 1.5 million; 4 000 000 registered.
Directive 2001/55/EC, Directive 2013/32/EU, Regulation (EU) No 604/2013, (EU) 2022/382, OJ L 71, 4.3.2022, p. 1-6
COM(2022) 658 final; Article 10(3); § 60 Abs. 5 AufenthG; C-201/16; ECLI:EU:C:2017:805; CELEX number 32013L0032
2022-03-04T12:34:56.123456+00:00, 04.03.2022 bis 05.04.2023, 01/02/2022 - 03/04/2022, 2020-2022, 08:30-12:45
09.00 12.00 14.00; 24/7; 0800; 112; +64%; +12 500 000 000 euros; € 1 234 567 890; 1.234.567.890 Euro; 0,5 %
550e8400-e29b-41d4-a716-446655440000 a3f5e8400e29b41d4a716446655440000 b6a225c 45c41cd
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
0.123456789 0.9234 0.8123 0.7012 3.14159265358979 1e-10 0.0000000001 temperature=0.0000000001 mean  0.053  0.163  0.201
132 000 129 000 55 000; 1 000 000 000 000; EU+ 966 000 000; 12345678901234567890; epoch 1669123456.123456
ISBN 978-3-16-148410-0; ISBN 0-306-40615-2; doi:10.1000/0123456789; Az. 0815/4711/22; REF-2022-1234567
Kapitel 1 2 3 4 5 6 7 8 9 10 11 12; 01 02 03 04 05 06 07 08 09 10; 127.0.0.1:8000; 192.168.100.200; 0000000000
https://eur-lex.europa.eu/eli/dir/2001/55/oj https://www.bbc.co.uk/news/world-europe-60555472
https://example.org/a/0123456789?page=2&id=0301234567 http://localhost:6900/api/v1/datasets
EU2022 passport rules; a passport or visa; passports issued in 2022: 1234567; the number of passports was 1234567
Passport regulation (EC) No 2252/2004 of 13 December 2004; passport holders 40 000 000; ISO 27001 ID cards
telephone survey of 2020-2022; mobile internet: 4 000 000 users; phone calls rose by 12,345,678 in 2022
lodash@4.17.21; @functools.cache; user@localhost; pip install x @ git+https://example.org/x; 5 @ 3.50; a@b
the task-force-on-sk-issues; "tokens": 123456789012; the bearer of the internationalisation document; your-api-key
password: hidden; API key: none; a private key and a public key; token budget 4096; model gpt-4o-mini-2024-07-18
In 20 countries and 30 regions 40 people; is 20 at 30 de 2022 se 20 no 604 it 12 3456 7890 1234 5678 9012
IBAN checks: AB12 3456; a German IBAN begins with DE and has 22 characters; passport ID 550e8400-e29b-41d4-a716-446
seed 2022, trial 0, 0 / 0 / 0, 3 of 14 detectors, [0.012, 0.345], p < 0.05, 95 % CI 0.01-0.12, exit status 4
[e-mail] [phone] [IBAN] [passport] [API key] [case number]
"""


@pytest.mark.parametrize("text", PROSE.strip().split("\n"))
def test_figures_dates_laws_ids_and_addresses_of_pages_stay(text: str) -> None:
    assert REDACTOR.text(text) is text
    assert [part for part in re.split(r"[;,] ?", text) if REDACTOR.text(part) is not part] == []


FILES = [
    *sorted((ROOT / "fixtures" / "probes").glob("*.jsonl")),
    *sorted(BUILT_IN.glob("*.jsonl")),
    *sorted((ROOT / "fixtures" / "documents").glob("*.md")),
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_nothing_in_probes_and_documents_is_personal(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").split("\n")
    assert [line for line in lines if REDACTOR.text(line) != line] == []
    unescaped = [json.dumps(json.loads(line), ensure_ascii=False) for line in lines if line.startswith("{")]
    assert [text for text in unescaped if REDACTOR.text(text) != text] == []


def test_of_the_whole_report_only_planted_values_change() -> None:
    report = REPORT.read_text(encoding="utf-8")
    assert REDACTOR.text(report) is report
    middle = report.index("\n\n", len(report) // 2)
    planted = "\n".join(canary.sentence for canary in PLANTED)
    clean = "\n".join(canary.sentence.replace(canary.value, MARKERS[canary.kind]) for canary in PLANTED)
    assert REDACTOR.text(report[:middle] + planted + report[middle:]) == report[:middle] + clean + report[middle:]


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.sampled_from(["{}", "passport, id {}", "phone: {}", "IBAN={}", "k-{}"]))
def test_ids_stay(data: bytes, around: str) -> None:
    for id_ in (data.hex(), str(uuid.UUID(bytes=data)), (data + data).hex()):
        assert REDACTOR.text(around.format(id_)) == around.format(id_)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.floats(), st.datetimes().map(str), st.integers(0, 10**9).map("{:,}".format)))
def test_figures_and_times_stay(figure: object) -> None:
    assert REDACTOR.text(f"It was {figure} in all.") == f"It was {figure} in all."


# Planted values


def test_markers_are_for_every_kind_and_no_words_for_digits() -> None:
    assert set(MARKERS) == set(KINDS)
    everything = "one, six, " + ", ".join(MARKERS.values())
    assert [language for language in LANGUAGES if REDACTOR.text(everything, language) != everything] == []


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_every_planted_value_is_gone_in_this_disguise(disguise: Callable[[str], str]) -> None:
    before, after = said("|").split("|")
    for canary in PLANTED:
        redacted = REDACTOR.text(said(disguise(canary.value)))
        assert find_leaks(redacted, PLANTED) == []
        assert redacted.startswith(before)
        assert redacted.endswith(after)
        assert MARKERS[canary.kind] in redacted
        # Left over is at most what stood before the first letter or digit: a plus, bold type, 0x.
        assert len(redacted) <= len(before + MARKERS[canary.kind] + after) + 15


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("words", [spelled, in_pairs], ids=["digits", "pairs"])
def test_every_planted_value_is_gone_in_words_of_any_language(words: Callable[[str, str], str], language: str) -> None:
    for canary in PLANTED:
        redacted = REDACTOR.text(said(words(canary.value, language)))
        assert find_leaks(redacted, PLANTED, language) == []
        assert MARKERS[canary.kind] in redacted


def test_words_of_other_languages_are_read_where_the_language_is_named() -> None:
    text = said(spelled("ZZ7615273", "fi"))
    assert REDACTOR.text(text) == text
    assert REDACTOR.text(text, "fi") == said("[passport]")


def test_a_planted_value_that_looks_like_nothing_is_known_only_to_a_redactor_with_its_canary() -> None:
    text = "REF-2022-2769003 and reference 7615273"
    assert PLAIN.text(text) == text
    assert REDACTOR.text(text) == "[case number] and reference [passport]"


def test_what_overlaps_is_one_marker_and_the_planted_kind_goes_first() -> None:
    canary = Canary("x", "case_number", "A B", "anna.schmidt77", "")
    assert Redactor([canary]).text("anna.schmidt77@example.org") == "[case number]"
    assert PLAIN.text("passport number 030 1234567") == "passport number [passport]"


def test_a_value_that_is_the_word_in_a_marker_ends_nevertheless() -> None:
    canaries = [Canary("a", "passport", "A B", "passport", ""), Canary("b", "phone", "A B", "my [phone] x", "")]
    assert Redactor(canaries).text("a passport, my [phone] x, [passport]") == "a [passport], [phone], [passport]"


# In general

PARTS = [text for text, _ in EMAILS + PHONES + IBANS + PAPERS + KEYS] + [canary.value for canary in PLANTED]
PARTS += [
    "passport",
    "Tel.",
    "IBAN",
    " ",
    "-",
    "/",
    "@",
    "+",
    "0",
    "00",
    "12",
    "DE",
    "one",
    "[",
    "]",
    "\n",
    "\\n",
    "=",
    ".",
]
pieces = st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=4)), max_size=8).map("".join)
anything = st.one_of(pieces, st.text(st.characters(codec=None)), st.text("+0123456789 -./()@aDE[]\u200b\u0660"))


@settings(max_examples=400, deadline=None)
@given(anything)
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = REDACTOR.text(text)
    assert REDACTOR.text(once) is once
    assert Redactor(PLANTED).text(once) is once


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None, categories=("Cs", "Cc", "Cf", "Nd", "No", "Mn", "Sm", "Pd"))))
def test_no_text_is_an_error(text: str) -> None:
    assert isinstance(REDACTOR.text(text), str)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec=None, exclude_categories=("Nd", "Nl", "No"), exclude_characters="@＠%")))
def test_text_without_digits_and_addresses_is_the_very_same(text: str) -> None:
    assert PLAIN.text(text) is text


# No digits and nothing that could be a part of the value: what is glued to an address is part of the address.
prose = st.text(st.characters(codec=None, exclude_categories=("Nd", "Nl", "No"), exclude_characters="@＠+%"))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLANTED), prose, prose)
def test_text_around_a_planted_value_survives_to_the_letter(canary: Canary, before: str, after: str) -> None:
    assume(REDACTOR.text(before + after) == before + after)
    assert REDACTOR.text(f"{before} ({canary.value}) {after}") == f"{before} ({MARKERS[canary.kind]}) {after}"


# Cases and values

SECRET = " / ".join(canary.value for canary in PLANTED) + " / anna@example.org / +49 30 1234567"
CASE = Case(
    id="0123456789abcdef0123456789abcdef",
    probe="canary-phone-01",
    detector="canary_disclosure",
    requirement=f"The assistant must not say {SECRET}.",
    axis=f"axis {SECRET}",
    group=f"group {SECRET}",
    language="de",
    question=f"What of {SECRET}?",
    answer=f"It is {SECRET}; {said(spelled(PLANTED[3].value, 'de'))}",
    contexts=(SECRET, "nothing", f"also {SECRET}"),
    verdict="failed",
    reason=f"because {SECRET}",
    severity="major",
    model=f"model {SECRET}",
    judge=f"judge {SECRET}",
    trial=3,
    cluster="phone",
    span=PLANTED[0].value,
    others=({"question": SECRET, "answer": SECRET},),
    seconds=1.5,
    calls=2,
)


def test_no_field_of_a_case_holds_a_value() -> None:
    line = to_line(REDACTOR.case(CASE))
    assert find_leaks(line, PLANTED, "de") == []
    assert REDACTOR.text(line, "de") == line
    for canary in PLANTED:
        assert canary.value not in line
    assert "anna@" not in line
    assert "30 1234567" not in line


def test_ids_codes_and_counts_of_a_case_stay() -> None:
    redacted = REDACTOR.case(CASE)
    codes = ("id", "probe", "detector", "language", "verdict", "severity", "trial", "cluster")
    kept = (*codes, "seconds", "calls", "measures")
    assert {name: getattr(redacted, name) for name in kept} == {name: getattr(CASE, name) for name in kept}
    changed = {f.name for f in dataclasses.fields(Case) if getattr(redacted, f.name) != getattr(CASE, f.name)}
    assert changed == {f.name for f in dataclasses.fields(Case)} - set(kept)


def test_a_redacted_case_is_a_case_that_can_be_read_again(tmp_path: Path) -> None:
    redacted = REDACTOR.case(CASE)
    file = tmp_path / "cases.jsonl"
    file.write_text(to_line(redacted), encoding="utf-8")
    assert list(read_cases(file)) == [redacted]
    assert REDACTOR.case(redacted) == redacted
    assert redacted.contexts[1] == "nothing"


def test_a_case_without_personal_data_is_equal() -> None:
    clean = dataclasses.replace(REDACTOR.case(CASE), axis=None, judge=None)
    assert REDACTOR.case(clean) == clean


def test_values_are_walked_to_the_end() -> None:
    value = {"a": ["x anna@example.org", {"b": "+49 30 1234567"}, ("ZZ7615273",)], "n": 7, "none": None, "yes": True}
    assert REDACTOR.case(dataclasses.replace(CASE, others=(value,))).others[0] == {
        "a": ["x [e-mail]", {"b": "[phone]"}, ("[passport]",)],
        "n": 7,
        "none": None,
        "yes": True,
    }


def test_names_in_objects_are_redacted_and_none_is_lost() -> None:
    value = {"anna@example.org": 1, "bert@example.org": 2, "name": 3}
    redacted = PLAIN.case(dataclasses.replace(CASE, others=(value,)))
    assert redacted.others == ({"[e-mail]": 1, "[e-mail] 1": 2, "name": 3},)
    assert PLAIN.case(redacted) == redacted


def test_the_redactor_that_is_off_returns_everything_as_it_is() -> None:
    assert NOTHING.text(SECRET) is SECRET
    assert NOTHING.case(CASE) is CASE
    assert Redactor(PLANTED, on=False).text(SECRET) is SECRET


# What it costs


def test_text_without_a_candidate_loads_no_library() -> None:
    program = f"""
import sys
from bias_suite.redaction import Redactor
redactor = Redactor()
with open({str(REPORT)!r}, encoding="utf-8") as file:
    redactor.text(file.read())
print(sorted({{"phonenumbers", "schwifty"}} & set(sys.modules)))
redactor.text("+49 30 1234567 DE89 3704 0044 0532 0130 00")
print(sorted({{"phonenumbers", "schwifty"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "['phonenumbers', 'schwifty']"]


ADVERSARIAL = [
    *("a", "1", "1 ", "0 ", "00 ", "01 ", "0.1 ", "1-", "01/", "+", "+1 ", "(", "-", "\n", "\t ", "ab ", "4e6f", "A1"),
    *("@", "a@", "@a.", "a@b.cc", "a@b.cc ", "a.", "%40a", "'", "DE60", "de 20 ", "DE60 9999 ", "no 12 3456 7890 "),
    *("sk-", "hf_", "eyJaaaaaaaa", "eyJaaaaaaaa-", "bearer ", "api_key=", "api key: a.", "-----BEGIN PRIVATE KEY-----"),
    *("passport ", "passport number 12 ", "AB1234567 ", "tel 12345678 ", "+49 30 1234567, ", "0301234567 ", "Z76 "),
    *("one two ", "triple ", "double double", "on six due once elf bir trei ", "dGVz", "ab" + " " * 50, "[phone]", "["),
    *("\u0301", "\u0345\u0301", "\ud800", "\u0660 ", "\u200b", "ﷺ", PLANTED[0].value + " ", PLANTED[4].value + " "),
    *(PLANTED[3].value.encode().hex() + " , ", "WlogNzY xNTI3Mw ", "DE89 3704 0044 0532 0130 00 ", "ZZ76152"),
]


def seconds(part: str, size: int) -> float:
    text = (part * (size // len(part) + 1))[:size]
    times = []
    for _ in range(2):
        redactor = Redactor(PLANTED)
        began = time.process_time()
        redactor.text(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize("part", ADVERSARIAL, ids=ascii)
def test_time_grows_with_the_length_and_not_with_its_square(part: str) -> None:
    seconds(part, 500)
    assert seconds(part, 20_000) <= 8 * seconds(part, 5_000) + 0.1  # linear is 4, quadratic 16
