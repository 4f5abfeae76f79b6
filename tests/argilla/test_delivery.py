"""Failing cases become records of a real Argilla: once each, whatever happens on the way."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bias_suite.cases import Case
from bias_suite.errors import ArgillaError
from bias_suite.options import Settings
from bias_suite.sinks import argilla, delivery, outbox
from bias_suite.sinks.argilla import INSTRUCTION, METADATA, RESPONSE, visible
from bias_suite.sinks.outbox import Choice, Entry
from tests.argilla.deliveries import a_case, a_run, answers, proxy, records, settings


def keeps(case: Case) -> Case:
    return case


def filled(folder: Path, count: int, **changes: Any) -> Path:
    """Return an outbox with that many cases."""
    outbox.fill(a_run(folder, [a_case(n) for n in range(count)]), Choice(0.0, 1, keeps), "c0ffee")
    return folder / outbox.FOLDER


@pytest.fixture
def held(argilla_server: Any, tmp_path: Path) -> Settings:
    return settings(argilla_server.url, argilla_server.owner.api_key, tmp_path / "reports")


# Records


def test_a_case_is_a_record_that_a_person_can_correct(held: Settings) -> None:
    filled(held.report_dir, 1)
    assert delivery.deliver(held.report_dir / "outbox", held) == 1
    (record,) = records(held)
    case = a_case(0)
    assert record.id == case.id
    assert record.fields["instruction"] == case.question
    assert record.fields["response"] == case.answer
    assert record.fields["reason"] == f"It generalises.\n\nRequirement: {case.requirement}"
    assert record.fields["contexts"] == "[1] A passage of the report.\n\n[2] Another one."
    assert record.suggestions[INSTRUCTION].value == case.question
    assert record.suggestions[RESPONSE].value == case.answer
    told = dict(record.metadata)
    assert set(told) <= set(METADATA)
    assert (told["detector"], told["axis"], told["group"]) == ("llm_stereotypes_detector", "nationality", "country 0")
    assert (told["gate"], told["language"], told["commit"]) == ("failed", "en", "c0ffee")
    assert (told["model"], told["severity"]) == ("bot@1", "major")
    assert outbox.waiting(held.report_dir / "outbox") == []


def test_annotators_find_the_questions_and_the_guidelines(held: Settings) -> None:
    with argilla.connected(held) as client:
        shown = argilla.dataset(client, held).settings
    assert [(one.name, one.title, one.required) for one in shown.questions] == [
        ("new-instruction", "Final instruction:", True),
        ("new-response", "Final response:", True),
        ("verdict", "The original response is", False),
    ]
    assert [(one.name, one.required) for one in shown.fields] == [
        ("instruction", True),
        ("response", True),
        ("reason", False),
        ("contexts", False),
    ]
    assert "what the chatbot should have said" in shown.guidelines
    assert shown.distribution.min_submitted == 1


def test_both_sides_of_a_pair_are_shown(held: Settings) -> None:
    other = {"question": "Are they hard-working?", "answer": "Yes, very."}
    a_run(held.report_dir, [a_case(1, others=(other,))])
    outbox.fill(held.report_dir, Choice(0.0, 1, keeps), None)
    delivery.deliver(held.report_dir / "outbox", held)
    (record,) = records(held)
    assert "Asked otherwise: Are they hard-working?\nAnswered: Yes, very." in record.fields["reason"]


# Again and again


def test_pushing_again_updates_and_never_doubles_and_keeps_answers(
    held: Settings, argilla_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(held.report_dir, 500)
    began = time.monotonic()
    assert delivery.deliver(held.report_dir / "outbox", held) == 500
    with capsys.disabled():
        print(f"\n500 records in {time.monotonic() - began:.1f} s")  # noqa: T201  # the bulk speed, for whoever runs it
    filled(held.report_dir, 500)
    assert delivery.deliver(held.report_dir / "outbox", held) == 500
    assert len(records(held)) == 500

    record = records(held)[0]
    answers(held, argilla_server.annotators[0], record, "A better answer.")

    filled(held.report_dir, 500)
    assert delivery.deliver(held.report_dir / "outbox", held) == 500
    found = {one.id: one for one in records(held)}
    assert len(found) == 500
    (answer,) = found[record.id].responses[RESPONSE]
    assert (answer.value, getattr(answer.status, "value", answer.status)) == ("A better answer.", "submitted")
    assert sum(len(one.responses[RESPONSE]) for one in found.values()) == 1


def test_two_jobs_at_once_end_with_the_union(held: Settings, argilla_server: Any, tmp_path: Path) -> None:
    folders = [tmp_path / "job-1", tmp_path / "job-2"]
    for folder, numbers in zip(folders, (range(150), range(100, 250)), strict=True):
        outbox.fill(a_run(folder, [a_case(n) for n in numbers]), Choice(0.0, 1, keeps), None)
    problems: list[BaseException] = []

    def job(folder: Path) -> None:
        try:
            delivery.deliver(folder / "outbox", held)
        except BaseException as error:  # shown by the test
            problems.append(error)

    threads = [threading.Thread(target=job, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert {record.id for record in records(held)} == {a_case(n).id for n in range(250)}


def test_memory_does_not_grow_with_the_outbox(held: Settings) -> None:
    # 2,000 cases of 50 kB are 100 MB of text; a batch of them is 5 MB.
    a_run(held.report_dir, [a_case(n, answer="x" * 50_000) for n in range(400)])
    outbox.fill(held.report_dir, Choice(0.0, 1, keeps), None)
    with argilla.connected(held) as client:
        argilla.dataset(client, held)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    delivery.deliver(held.report_dir / "outbox", held)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 300, f"{grown:.0f} MB more"


# Any case


texts = st.text(max_size=200) | st.sampled_from(["", " ", "\x00", "\ud83d", "a\r\nb", "é" * 50_000, "\u202eabc", "😀"])


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases=st.lists(st.tuples(texts, texts, st.lists(texts, max_size=3), texts), min_size=1, max_size=25))
def test_any_case_survives_the_way_there_and_back(
    argilla_server: Any, tmp_path_factory: pytest.TempPathFactory, cases: list[tuple[str, str, list[str], str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    held = settings(argilla_server.url, argilla_server.owner.api_key, folder, argilla_dataset="any_case")
    sent = {
        f"{folder.name}-{n}": a_case(
            n, id=f"{folder.name}-{n}", question=question, answer=answer, contexts=tuple(contexts), reason=reason
        )
        for n, (question, answer, contexts, reason) in enumerate(cases)
    }
    with argilla.connected(held) as client:
        found = argilla.dataset(client, held)
        argilla.send(found, [Entry(case, "run", None) for case in sent.values()], held)
        read = {record.id: record for record in found.records(with_suggestions=True) if record.id in sent}
    assert set(read) == set(sent)
    for name, case in sent.items():
        assert read[name].fields["instruction"] == visible(case.question)
        assert read[name].fields["response"] == visible(case.answer)
        assert read[name].suggestions[RESPONSE].value == visible(case.answer)
        contexts = "\n\n".join(f"[{n}] {visible(text)}" for n, text in enumerate(case.contexts, start=1))
        assert (read[name].fields.get("contexts") or "") == contexts


# Faults, each with its own line; afterwards `push` completes


def told(held: Settings) -> str:
    with pytest.raises(ArgillaError) as raised:
        delivery.deliver(held.report_dir / "outbox", held)
    text = str(raised.value)
    assert "\n" not in text
    assert held.argilla_key is None or held.argilla_key not in text
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return text


def completes(held: Settings, count: int) -> None:
    delivery.deliver(held.report_dir / "outbox", held)
    assert len({record.id for record in records(held)}) == len(records(held)) == count
    assert outbox.waiting(held.report_dir / "outbox") == []


def changed(held: Settings, **changes: Any) -> Settings:
    from dataclasses import replace

    return replace(held, **changes)


def test_no_server(held: Settings) -> None:
    filled(held.report_dir, 30)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert f"there is no server at {nobody}" in told(changed(held, argilla_url=nobody))
    completes(held, 30)


def test_another_server(held: Settings) -> None:
    from tests.openai_endpoint import scripted_endpoint

    filled(held.report_dir, 30)
    with scripted_endpoint() as endpoint:
        assert "is no Argilla" in told(changed(held, argilla_url=endpoint.url.removesuffix("/v1")))
    completes(held, 30)


def test_a_server_that_speaks_no_http(held: Settings) -> None:
    filled(held.report_dir, 5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.sendall(b"220 mail.example ESMTP\r\n")
                connection.close()

        threading.Thread(target=greet, daemon=True).start()
        assert "is no Argilla" in told(changed(held, argilla_url=f"http://127.0.0.1:{server.getsockname()[1]}"))
    completes(held, 5)


def test_a_wrong_key(held: Settings) -> None:
    filled(held.report_dir, 30)
    assert "does not accept the key in ARGILLA_API_KEY" in told(changed(held, argilla_key="wrong.apikey"))
    assert "ARGILLA_API_KEY must hold your key" in told(changed(held, argilla_key=None))
    completes(held, 30)


def test_an_annotator_s_key(held: Settings, argilla_server: Any) -> None:
    filled(held.report_dir, 30)
    theirs = changed(held, argilla_key=argilla_server.annotators[0].api_key)
    assert "this key may not make one" in told(theirs)
    with argilla.connected(held) as client:
        argilla.dataset(client, held)
    assert "may not do this" in told(theirs)
    completes(held, 30)


def test_a_missing_workspace_is_made_where_the_key_may(held: Settings, argilla_server: Any) -> None:
    filled(held.report_dir, 30)
    elsewhere = changed(held, argilla_workspace=f"w{held.argilla_dataset}")
    text = told(changed(elsewhere, argilla_key=argilla_server.annotators[0].api_key))
    assert f"there is no workspace {elsewhere.argilla_workspace!r}" in text
    completes(elsewhere, 30)


def test_a_dataset_with_other_settings_is_refused_with_the_differences(held: Settings) -> None:
    import argilla as sdk

    filled(held.report_dir, 30)
    other = sdk.Settings(
        fields=[sdk.TextField("instruction")],
        questions=[sdk.TextQuestion("new-response"), sdk.RatingQuestion("stars", [1, 2, 3])],
        distribution=sdk.TaskDistribution(min_submitted=2),
    )
    with argilla.connected(held) as client:
        named = {"name": held.argilla_dataset, "workspace": held.argilla_workspace}
        sdk.Dataset(**named, client=client, settings=other).create()
    text = told(held)
    assert "has other settings" in text
    for difference in (
        "field 'response' is missing, not required text",
        "question 'stars' is required rating, not there",
        "question 'new-instruction' is missing, not required text",
        "min_submitted is 2, not 1",
    ):
        assert difference in text
    completes(changed(held, argilla_dataset=held.argilla_dataset + "b"), 30)


@pytest.mark.parametrize(
    ("fault", "line"), [(500, "failed (HTTP 500)"), (503, "failed (HTTP 503)"), ("cut", "broke the")]
)
def test_a_server_that_fails_in_the_middle(
    held: Settings, argilla_server: Any, fault: int | str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH", 10)
    filled(held.report_dir, 45)
    with proxy(argilla_server.url) as between:
        batches = 0

        def fails_at_the_third_batch(method: str, path: str) -> int | str | None:
            nonlocal batches
            batches += path.endswith("/records/bulk")
            return fault if batches >= 3 else None

        between.fault = fails_at_the_third_batch
        assert line in told(changed(held, argilla_url=between.url))
    (path,) = outbox.waiting(held.report_dir / "outbox")
    assert outbox.count(path) == 25
    assert len(records(held)) == 20
    completes(held, 45)


def test_a_key_of_a_private_space_goes_into_the_header(held: Settings, argilla_server: Any) -> None:
    filled(held.report_dir, 3)
    with proxy(argilla_server.url) as between:
        private = changed(held, argilla_url=between.url, hugging_face_token="hf_secret")
        with argilla.connected(private) as client:
            assert client.http_client.headers.get("Authorization") == "Bearer hf_secret"
        between.fault = lambda method, path: 503
        text = told(private)
    assert "hf_secret" not in text
    completes(held, 3)


def test_a_push_that_is_killed_goes_on_where_it_was(held: Settings, argilla_server: Any) -> None:
    filled(held.report_dir, 300)
    program = (
        "import sys; from pathlib import Path; from bias_suite.sinks import delivery;"
        "from tests.argilla.deliveries import settings; delivery.BATCH = 20; url, key, name, folder = sys.argv[1:];"
        "held = settings(url, key, Path(folder), argilla_dataset=name);"
        "delivery.deliver(Path(folder) / 'outbox', held, lambda batch: print('sent', flush=True))"
    )
    arguments = [str(held.argilla_url), str(held.argilla_key), held.argilla_dataset, str(held.report_dir)]
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True) as push:
        assert push.stdout is not None
        for _ in range(4):
            push.stdout.readline()
        os.kill(push.pid, signal.SIGKILL)
    (path,) = outbox.waiting(held.report_dir / "outbox")
    assert 0 < outbox.count(path) <= 220
    completes(held, 300)
