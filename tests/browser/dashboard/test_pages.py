"""The dashboard: its figures against a plain count, its pictures, its files, and who may look."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient

from browser.settings import Settings
from storage.corpora import read_corpus
from storage.entity_tables import EntitySource, write_entity_table
from storage.ingestion import corpus_reader, ingest
from storage.layout import DatasetLayout
from storage.ledger import Ledger
from storage.ledger_records import LedgerRecord, SampleOutcome
from storage.objects import LocalStore
from storage.records import EntityKind, Outcome, RejectionReason, Stage
from tests.browser.released import (
    FIRST_REJECT,
    NAME,
    NUM_PAIRS,
    NUM_REJECTS,
    client_of,
    make_release,
)
from tests.storage.readers.made_files import make_mimic

PAGE, API = f"/datasets/{NAME}/1/dashboard", f"/api/datasets/{NAME}/releases/1/dashboard"
SVG = "{http://www.w3.org/2000/svg}"
BEGAN = 1_700_000_000.0  # before every release of today
LATER = 4_000_000_000.0


def _tables(client: TestClient, **query: str) -> dict[str, list[dict[str, Any]]]:
    """Each plot's rows by the names of its columns."""
    answer = client.get(API, params=query)
    assert answer.status_code == 200, answer.text
    return {
        plot["name"]: [dict(zip(plot["columns"], row, strict=True)) for row in plot["rows"]]
        for plot in answer.json()
    }


def _of(rows: Sequence[dict[str, Any]], finding: str) -> dict[str, Any]:
    return next(row for row in rows if row["finding"] == finding)


def _present(index: int) -> set[str]:
    """The findings that a made row's report states."""
    return ({"Effusion"} if index % 4 in (0, 3) else set()) | (
        {"Nodule"} if index % 4 in (2, 3) else set()
    )


def _count(*findings: str) -> int:
    return sum(_present(index) >= set(findings) for index in range(NUM_PAIRS))


def test_findings_are_counted_as_asked_and_as_stated(client: TestClient) -> None:
    rows = _tables(client)["findings"]
    stated, nodules = _count("Effusion"), _count("Nodule")
    assert _of(rows, "Effusion")["asked, samples"] == stated  # the first entity is the request
    assert _of(rows, "Effusion")["asked, share"] == 1.0
    assert _of(rows, "Effusion")["in pairs, samples"] == stated
    assert _of(rows, "Nodule")["asked, samples"] == 0
    assert _of(rows, "Nodule")["in pairs, share"] == round(nodules / (stated + nodules), 4)
    assert len(rows) == 14


def test_long_tail_falls_and_leaves_anatomy_out(client: TestClient) -> None:
    (plot,) = (one for one in client.get(API).json() if one["name"] == "long-tail")
    stated = [uses for series, _, uses in plot["rows"] if series == "in pairs"]
    assert stated == sorted((_count("Effusion"), NUM_PAIRS - _count("Effusion"), _count("Nodule")),
                            reverse=True)  # fmt: skip
    assert any(note.startswith("in pairs: 3 entities") for note in plot["notes"])


def test_acceptance_counts_pairs_and_rejects_that_were_asked_for_a_finding(
    client: TestClient,
) -> None:
    row = _of(_tables(client)["acceptance-per-finding"], "Effusion")
    refused = range(FIRST_REJECT, FIRST_REJECT + NUM_REJECTS)
    lost = sum("Effusion" in _present(index) for index in refused)
    kept = _count("Effusion")
    assert (row["accepted"], row["refused"]) == (kept, lost)
    assert row["95 % from"] < row["acceptance"] == round(kept / (kept + lost), 4) < row["95 % to"]


def test_findings_stand_together_as_often_as_a_plain_count_says(client: TestClient) -> None:
    rows = _tables(client)["co-occurrence"]
    assert _of(rows, "Effusion")["Nodule"] == _count("Effusion", "Nodule")
    assert _of(rows, "Nodule")["Effusion"] == _count("Effusion", "Nodule")
    assert _of(rows, "Nodule")["Nodule"] == _count("Nodule")


def test_every_plot_is_a_named_picture_without_inline_style_and_a_table(client: TestClient) -> None:
    page = client.get(PAGE)
    assert "style=" not in page.text and "<style" not in page.text  # the policy forbids them
    for plot in client.get(API).json():
        picture = client.get(f"{PAGE}/{plot['name']}.svg")
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "attachment" in picture.headers["content-disposition"]
        assert picture.text in page.text
        drawn = ElementTree.fromstring(picture.text)
        title, described = drawn.find(f"{SVG}title"), drawn.find(f"{SVG}desc")
        assert title is not None and title.text == plot["title"]
        assert described is not None and described.text == plot["description"]
        assert drawn.get("aria-labelledby") == f"{title.get('id')} {described.get('id')}"
        table = client.get(f"{PAGE}/{plot['name']}.csv")
        lines = list(csv.reader(io.StringIO(table.text)))
        assert lines[0] == plot["columns"]
        assert lines[1:] == [[str(cell) for cell in row] for row in plot["rows"]]


def _settle(
    ledger: Ledger, unit: int, kept: Sequence[bool], at: float, *, worker: str, tokens: int = 0
) -> None:
    outcomes = tuple(
        SampleOutcome(
            index=unit * len(kept) + place,
            outcome=Outcome.ACCEPTED if one else Outcome.REJECTED,
            reason=None if one else RejectionReason.MISSING_ENTITY,
        )
        for place, one in enumerate(kept)
    )
    ledger.settle(
        LedgerRecord(
            *(Stage.WRITE, unit, "a1", f"staging/{unit}", 10, "0" * 64, outcomes),
            worker=worker,
            started_at=at - 10,
            settled_at=at,
            engine_seconds=6.5,
            num_tokens=tokens,
        )
    )


def test_ledger_gives_acceptance_over_time_and_cost_up_to_the_release(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store)
    ledger = Ledger(store, DatasetLayout(NAME))
    _settle(ledger, 0, (True, True, False, False), BEGAN, worker="one:gpu0:77", tokens=1300)
    _settle(ledger, 1, (True, True, True, True), BEGAN + 600, worker="two:gpu0:78")
    _settle(ledger, 2, (False, False, False, False), LATER, worker="one:gpu0:77")
    with client_of(Settings(root=str(tmp_path))) as client:
        tables = _tables(client)
        notes = next(one["notes"] for one in client.get(API).json() if one["name"] == "throughput")
        assert client.get(PAGE).text.count("<svg") == 6
    over_time = [(row["settled"], row["acceptance"]) for row in tables["acceptance-over-time"]]
    assert over_time == [(4, 0.5), (4, 1.0)]
    assert tables["acceptance-over-time"][-1]["until, minutes"] == 10.0
    workers = {row["worker"]: row for row in tables["throughput"]}
    assert set(workers) == {"one:gpu0", "two:gpu0"}
    assert workers["one:gpu0"]["samples/s"] == 0.4
    assert workers["one:gpu0"]["tokens per accepted pair"] == 1300 / NUM_PAIRS
    assert notes == [
        "engine seconds per accepted pair, all stages: 0.1",
        "tokens per accepted pair, all stages: 10",
    ]


def test_release_is_held_against_a_corpus_that_may_be_shown(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "root"))
    make_release(store)
    ingest(store, "hospital", corpus_reader("mimic", make_mimic(tmp_path / "source")))
    mentions = [("pleural effusion", EntityKind.ABNORMALITY, 40), ("rib", EntityKind.ANATOMY, 9)]
    write_entity_table(store, "hospital", mentions, EntitySource("lexicon", "1", None))
    labels = [label for image in read_corpus(store, "hospital").images() for label in image.labels]
    with client_of(Settings(root=store.root)) as client:
        tables = _tables(client, corpus="hospital")
        assert '<option value="hospital" selected>' in client.get(f"{PAGE}?corpus=hospital").text
        assert "in hospital" not in client.get(API).text, "the plan names none"
        assert client.get(f"{PAGE}?corpus=nowhere").status_code == 404
    effusions = _of(tables["findings"], "Effusion")["in hospital, samples"]
    assert effusions == (labels.count("Effusion") or 40)
    tail = [row["uses"] for row in tables["long-tail"] if row["series"] == "in hospital"]
    assert tail == [40]
    beyond = Settings(root=store.root, host="0.0.0.0", token="word")
    with client_of(beyond) as client:
        client.headers["Authorization"] = "Bearer word"
        assert "hospital" not in client.get(PAGE).text
        assert client.get(f"{PAGE}?corpus=hospital").status_code == 403
        assert client.get(f"{PAGE}/findings.csv?corpus=hospital").status_code == 403


@pytest.mark.parametrize("name", ["none.svg", "findings.png", "..%2Ffindings.csv"])
def test_plot_that_is_none_is_a_friendly_page(client: TestClient, name: str) -> None:
    answer = client.get(f"{PAGE}/{name}")
    assert answer.status_code == 404
    assert "<main" in answer.text
