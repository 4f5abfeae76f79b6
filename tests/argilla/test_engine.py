"""What the SDK and the web page ask of the embedded server's search engine."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from fixtures.argilla import Deployment

TEXTS = (
    "Nurses are women, he said.",
    "Engineers are men, she said.",
    "Die Größe der Ärzte ist unwichtig.",
    "She said that nurses work hard.",
    'A quote: "50% of people_x" \\ done',
    "Asylum seekers work hard as engineers.",
)
GROUPS = ("women", "men", "none", "women", "none", ["women", "men"])


@dataclass(frozen=True)
class Shelf:
    """A dataset with six records, and who may do what with it."""

    rg: Any
    dataset: Any
    owner: httpx.Client
    annotators: tuple[httpx.Client, ...]

    def find(self, query: Any = None, filters: Any = None) -> list[int]:
        """Return the numbers of the records that the SDK finds, in its order."""
        wanted = self.rg.Query(query=query, filter=self.rg.Filter(filters) if filters else None)
        return [int(record.id) for record in self.dataset.records(wanted)]

    def show(self, annotator: int = 0, limit: int = 50, offset: int = 0, **body: Any) -> list[int]:
        """Return the numbers of the records that the web page shows to an annotator."""
        answer = self.annotators[annotator].post(
            f"/me/datasets/{self.dataset.id}/records/search", json=body, params={"limit": limit, "offset": offset}
        )
        answer.raise_for_status()
        return [int(item["record"]["external_id"]) for item in answer.json()["items"]]

    def answer(self, number: int, status: str = "submitted", annotator: int = 0, **values: Any) -> None:
        """Answer a record as the web page does."""
        (record,) = (record for record in self.dataset.records() if record.id == str(number))
        given = {name: {"value": value} for name, value in values.items()}
        body = {"status": status, "values": given} if given else {"status": status}
        self.annotators[annotator].post(f"/records/{record._server_id}/responses", json=body).raise_for_status()


def with_status(*statuses: str) -> dict[str, Any]:
    scope = {"entity": "response", "property": "status"}
    return {"filters": {"and": [{"type": "terms", "scope": scope, "values": statuses}]}}


def sorted_by(order: str = "asc", **scope: str) -> dict[str, Any]:
    return {"sort": [{"scope": scope, "order": order}]}


@pytest.fixture(scope="module")
def workspace(rg: Any, argilla_server: Deployment) -> Any:
    client = rg.Argilla(argilla_server.url, argilla_server.owner.api_key)
    workspace = rg.Workspace(name=f"engine-{uuid.uuid4().hex}", client=client).create()
    for account in argilla_server.annotators:
        workspace.add_user(account.username)
    return workspace


@contextlib.contextmanager
def filled(rg: Any, workspace: Any, server: Deployment) -> Iterator[Shelf]:
    dataset = rg.Dataset(
        name=uuid.uuid4().hex,
        workspace=workspace,
        client=workspace._client,
        settings=rg.Settings(
            fields=[rg.TextField("text"), rg.ChatField("chat", required=False)],
            questions=[
                rg.TextQuestion("comment"),
                rg.LabelQuestion("verdict", labels=["fair", "unfair"], required=False),
                rg.MultiLabelQuestion("axes", labels=["gender", "âge"], required=False),
                rg.RatingQuestion("harm", values=[1, 2, 3], required=False),
            ],
            metadata=[
                rg.TermsMetadataProperty("group"),
                rg.IntegerMetadataProperty("length"),
                rg.FloatMetadataProperty("score"),
            ],
            vectors=[rg.VectorField("place", dimensions=2)],
            distribution=rg.TaskDistribution(min_submitted=2),
        ),
    ).create()
    dataset.records.log(
        [
            rg.Record(
                id=str(number),
                fields={"text": text, "chat": [{"role": "user", "content": f"Frage nº {number}"}]},
                metadata={"group": group, "length": len(text), "score": number / 10},
                suggestions=[
                    rg.Suggestion("comment", f"comment {number}", agent="bot" if number % 2 else "judge"),
                    rg.Suggestion("verdict", "unfair" if number < 3 else "fair", score=number / 10),
                    rg.Suggestion("axes", ["gender"] if number < 2 else ["gender", "âge"]),
                ],
                vectors={"place": [1.0, number]},
            )
            for number, (text, group) in enumerate(zip(TEXTS, GROUPS, strict=True))
        ]
    )
    with contextlib.ExitStack() as clients:
        owner, *annotators = (
            clients.enter_context(
                httpx.Client(
                    base_url=f"{server.url}/api/v1", headers={"X-Argilla-Api-Key": account.api_key}, timeout=60
                )
            )
            for account in (server.owner, *server.annotators)
        )
        yield Shelf(rg, dataset, owner, tuple(annotators))


@pytest.fixture(scope="module")
def shelf(rg: Any, workspace: Any, argilla_server: Deployment) -> Iterator[Shelf]:
    """A dataset to look at."""
    with filled(rg, workspace, argilla_server) as shelf:
        yield shelf


@pytest.fixture
def own_shelf(rg: Any, workspace: Any, argilla_server: Deployment) -> Iterator[Shelf]:
    """A dataset to change."""
    with filled(rg, workspace, argilla_server) as shelf:
        yield shelf


# Text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("nurses", [0, 3]),
        ("NURSES said", [0, 3]),
        ("größe", [2]),
        ("ÄRZTE", [2]),
        ("nur", []),
        ("engine*", [1, 5]),
        ('"she said"', [1, 3]),
        ("said -women", [1, 3]),
        ("women | men", [0, 1]),
        ("hard (nurses | asylum)", [3, 5]),
        ("50%", [4]),
        ("frage", [0, 1, 2, 3, 4, 5]),
        ("nº 3", [3]),
        ("%", []),
    ],
)
def test_a_text_query_finds_words(shelf: Shelf, query: str, found: list[int]) -> None:
    assert shelf.find(query) == found
    assert shelf.show(query={"text": {"q": query}}) == found


def test_a_text_query_may_name_a_field(shelf: Shelf) -> None:
    assert shelf.show(query={"text": {"q": "frage", "field": "text"}}) == []
    assert shelf.show(query={"text": {"q": "frage", "field": "chat"}}) == [0, 1, 2, 3, 4, 5]


# Filters


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (("metadata.group", "==", "women"), [0, 3, 5]),
        (("metadata.group", "in", ["men", "none"]), [1, 2, 4, 5]),
        (("metadata.length", ">=", 33), [2, 4, 5]),
        (("metadata.length", "in", ["26"]), [0]),
        (("metadata.score", "<=", 0.1), [0, 1]),
        (("comment.suggestion", "==", "comment 1"), [1]),
        (("comment.agent", "==", "judge"), [0, 2, 4]),
        (("verdict.suggestion", "==", "fair"), [3, 4, 5]),
        (("verdict.score", ">=", 0.4), [4, 5]),
        (("axes.suggestion", "==", "âge"), [2, 3, 4, 5]),
        (("id", "in", ["2", "4"]), [2, 4]),
        (("status", "==", "pending"), [0, 1, 2, 3, 4, 5]),
        (("status", "==", "completed"), []),
        (("inserted_at", ">=", "2020-01-01T00:00:00"), [0, 1, 2, 3, 4, 5]),
        (("inserted_at", "<=", "2020-01-01T00:00:00+02:00"), []),
    ],
)
def test_a_condition_chooses_records(shelf: Shelf, condition: Any, found: list[int]) -> None:
    assert shelf.find(filters=[condition]) == found


def test_conditions_and_text_hold_together(shelf: Shelf) -> None:
    assert shelf.find("said", [("metadata.group", "==", "women"), ("metadata.score", ">=", 0.1)]) == [3]


def test_responses_choose_records(own_shelf: Shelf) -> None:
    own_shelf.answer(0, comment="one", verdict="fair", harm=1)
    own_shelf.answer(1, comment="two", verdict="unfair", harm=3, axes=["gender", "âge"])
    own_shelf.answer(1, comment="three", harm=2, annotator=1)
    own_shelf.answer(2, status="draft", comment="four")
    own_shelf.answer(3, status="discarded", comment="five")  # without a value, the SDK cannot read it

    assert own_shelf.find(filters=[("response.status", "==", "submitted")]) == [0, 1]
    assert own_shelf.find(filters=[("response.status", "in", ["draft", "discarded"])]) == [2, 3]
    assert own_shelf.find(filters=[("response.status", "==", "pending")]) == [4, 5]
    assert own_shelf.find(filters=[("verdict.response", "==", "unfair")]) == [1]
    assert own_shelf.find(filters=[("axes.response", "in", ["âge"])]) == [1]
    assert own_shelf.find(filters=[("harm.response", ">=", 2)]) == [1]
    assert own_shelf.find(filters=[("harm.response", "in", [1])]) == [0]
    assert own_shelf.find(filters=[("status", "==", "completed")]) == [1]


def test_the_page_shows_each_annotator_what_is_left(own_shelf: Shelf) -> None:
    own_shelf.answer(0, comment="one")
    own_shelf.answer(1, comment="one")
    own_shelf.answer(1, comment="two", annotator=1)
    own_shelf.answer(2, status="draft", comment="three", annotator=1)

    assert own_shelf.show(**with_status("pending")) == [2, 3, 4, 5]
    assert own_shelf.show(**with_status("submitted")) == [0, 1]
    assert own_shelf.show(annotator=1, **with_status("pending")) == [0, 3, 4, 5]
    assert own_shelf.show(annotator=1, **with_status("pending", "draft")) == [0, 2, 3, 4, 5]
    assert own_shelf.show(annotator=1, **with_status("discarded")) == []


# Order


def test_records_come_in_the_order_in_which_they_were_logged(rg: Any, own_shelf: Shelf) -> None:
    more = [rg.Record(id=str(number), fields={"text": f"text {number}"}) for number in range(6, 206)]
    own_shelf.dataset.records.log(more)
    own_shelf.dataset.records.log([rg.Record(id="3", fields={"text": "changed"})])

    assert own_shelf.find() == list(range(206))
    assert own_shelf.find(filters=[("response.status", "==", "pending")]) == list(range(206))
    assert own_shelf.show(limit=1000) == list(range(206))
    assert own_shelf.show(limit=10, offset=100) == list(range(100, 110))


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ({"entity": "metadata", "metadata_property": "length"}, [0, 1, 3, 4, 2, 5]),
        ({"entity": "record", "property": "external_id"}, [0, 1, 2, 3, 4, 5]),
        ({"entity": "suggestion", "question": "verdict", "property": "score"}, [0, 1, 2, 3, 4, 5]),
        ({"entity": "suggestion", "question": "comment", "property": "agent"}, [1, 3, 5, 0, 2, 4]),
    ],
)
def test_the_page_sorts(shelf: Shelf, scope: dict[str, str], found: list[int]) -> None:
    assert shelf.show(**sorted_by(**scope)) == found
    assert sorted(shelf.show(**sorted_by("desc", **scope))) == sorted(found)
    if "agent" not in scope.values():
        assert shelf.show(**sorted_by("desc", **scope)) == found[::-1]


def test_the_page_sorts_by_answers_and_leaves_the_rest_for_the_end(own_shelf: Shelf) -> None:
    for number, harm in ((4, 2), (1, 3), (5, 1)):
        own_shelf.answer(number, comment="c", harm=harm)

    assert own_shelf.show(**sorted_by(entity="response", question="harm")) == [5, 4, 1, 0, 2, 3]
    assert own_shelf.show(**sorted_by("desc", entity="response", question="harm")) == [1, 4, 5, 0, 2, 3]
    assert own_shelf.show(annotator=1, **sorted_by(entity="response", question="harm")) == [0, 1, 2, 3, 4, 5]


def test_similar_records_are_found(rg: Any, shelf: Shelf) -> None:
    def similar(**wanted: Any) -> list[int]:
        return [int(record.id) for record, _ in shelf.dataset.records(rg.Query(similar=rg.Similar("place", **wanted)))]

    (zero, *_) = shelf.dataset.records()
    assert similar(value=[1.0, 0.0]) == [0, 1, 2, 3, 4, 5]
    assert similar(value=[1.0, 0.0], most_similar=False) == [5, 4, 3, 2, 1, 0]
    assert similar(value=zero) == [1, 2, 3, 4, 5]
    assert shelf.show(query={"text": {"q": "said"}, "vector": {"name": "place", "value": [0.0, 1.0]}}) == [3, 1, 0]


# Counts


def test_metadata_is_counted_for_the_pages_filters(shelf: Shelf) -> None:
    properties = shelf.annotators[0].get(f"/me/datasets/{shelf.dataset.id}/metadata-properties").json()["items"]
    counted = {
        one["name"]: shelf.annotators[0].get(f"/metadata-properties/{one['id']}/metrics").json() for one in properties
    }

    assert counted["group"] == {
        "type": "terms",
        "total": 7,
        "values": [{"term": "women", "count": 3}, {"term": "men", "count": 2}, {"term": "none", "count": 2}],
    }
    assert counted["length"] == {"type": "integer", "min": 26, "max": 38}
    assert counted["score"] == {"type": "float", "min": 0.0, "max": 0.5}


def test_progress_is_counted(own_shelf: Shelf) -> None:
    own_shelf.answer(0, comment="one")
    own_shelf.answer(0, comment="one", annotator=1)
    own_shelf.answer(1, comment="two")
    own_shelf.answer(2, status="draft", comment="three")
    own_shelf.answer(3, status="discarded")

    assert own_shelf.dataset.progress() == {"total": 6, "completed": 1, "pending": 5}
    mine = own_shelf.annotators[0].get(f"/me/datasets/{own_shelf.dataset.id}/metrics").json()["responses"]
    assert mine == {"total": 6, "submitted": 2, "discarded": 1, "draft": 1, "pending": 2}


def test_a_background_job_settles_what_is_complete_when_fewer_answers_are_wanted(rg: Any, own_shelf: Shelf) -> None:
    own_shelf.answer(0, comment="one")
    own_shelf.answer(1, comment="one")
    own_shelf.dataset.settings.distribution = rg.TaskDistribution(min_submitted=1)
    own_shelf.dataset.settings.update()

    deadline = time.monotonic() + 20
    while own_shelf.dataset.progress()["completed"] != 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_is_deleted_is_found_no_more(own_shelf: Shelf) -> None:
    own_shelf.dataset.records.delete([record for record in own_shelf.dataset.records() if record.id in ("1", "2")])

    assert own_shelf.find() == [0, 3, 4, 5]
    assert own_shelf.find("said") == [0, 3]
    own_shelf.dataset.delete()
    assert own_shelf.owner.get(f"/datasets/{own_shelf.dataset.id}").status_code == 404


def test_the_server_names_its_engine(shelf: Shelf) -> None:
    assert shelf.owner.get("/status").json()["search_engine"]["name"] == "embedded"
