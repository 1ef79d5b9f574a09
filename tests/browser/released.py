"""A small release of varied samples, made as the factory makes one, and ways to it."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Thread

import uvicorn
from fastapi.testclient import TestClient

from browser.app import create_app
from browser.settings import Settings
from storage.decisions import Decision
from storage.layout import DatasetLayout, Table
from storage.objects import ObjectStore, open_store
from storage.publisher import publish
from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    FindingMask,
    GateScore,
    ImageRow,
    Outcome,
    RejectionReason,
    Report,
    Sex,
    Stage,
    View,
)
from storage.releases import Release, create_release
from storage.rows import Row, pair_row, reject_row, report_row, sample_row, to_table
from storage.table_schemas import Lineage, table_schema
from storage.tables import PublishedTable
from storage.text_index import index_texts
from tests.storage import made

NAME = "chest"
NUM_PAIRS, NUM_REJECTS, UNIT_SIZE = 130, 7, 8
FIRST_REJECT = 1000
EFFUSION = Entity("pleural effusion", EntityKind.ABNORMALITY, EntityStatus.PRESENT, "left lung")
NO_EFFUSION = Entity("pleural effusion", EntityKind.NON_ABNORMALITY, EntityStatus.ABSENT)
NODULE = Entity("lung nodule", EntityKind.ABNORMALITY, EntityStatus.UNCERTAIN)
LUNG = Entity("left lung", EntityKind.ANATOMY, EntityStatus.PRESENT)
_FOUND = ((EFFUSION, LUNG), (NO_EFFUSION,), (NO_EFFUSION, NODULE), (EFFUSION, NODULE))
_WORDS = {
    EFFUSION: "There is a pleural effusion in the left lung.",
    NO_EFFUSION: "No pleural effusion.",
    NODULE: "A possible lung nodule.",
    LUNG: "",
}
SCRIPT = "<script>alert('x')</script>"


@dataclass(frozen=True, slots=True)
class Made:
    """What a row was made of, for a plain reference."""

    index: int
    sample_id: str
    view: str
    sex: str
    age: str
    entities: tuple[str, ...]
    contrast: float
    findings: str


def made_row(index: int, reason: RejectionReason | None = None) -> ImageRow:
    found = _FOUND[index % len(_FOUND)]
    words = " ".join(filter(None, (_WORDS[one] for one in found)))
    sample = replace(
        made.sample(index),
        sample_id=hashlib.sha256(str(index).encode()).hexdigest()[:32],
        unit=index // UNIT_SIZE,
        entities=(found[0],),
        view=View.PA if index % 3 else View.AP,
        sex=(Sex.FEMALE, Sex.MALE, None)[index % 3],
        age_years=None if index % 5 == 0 else 20 + index % 60,
        source=None,
    )
    written = replace(
        made.report_row(index),
        sample=sample,
        report=Report(f"{words} {SCRIPT}", f"Impression {index}."),
        entities_found=found,
    )
    score = GateScore("technical", "contrast", float(index % 17), 3.0, reason is None)
    masks = (FindingMask("pleural effusion", "left lung", made.png(index)),)
    painted = replace(made.image_row(index, reason), written=written, masks=masks)
    return replace(painted, scores=(score,) if index % 11 else ())


def reference(index: int) -> Made:
    row = made_row(index)
    sample = row.written.sample
    age = sample.age_years
    assert row.written.report is not None
    return Made(
        index=index,
        sample_id=sample.sample_id,
        view=str(sample.view),
        sex=str(sample.sex) if sample.sex else "not stated",
        age="not stated" if age is None else f"{age // 10}0-{age // 10}9",
        entities=tuple(f"{one.kind}:{one.text}" for one in row.written.entities_found),
        contrast=row.scores[0].value if row.scores else float("nan"),
        findings=row.written.report.findings,
    )


def make_release(
    store: ObjectStore,
    name: str = NAME,
    *,
    num_pairs: int = NUM_PAIRS,
    num_rejects: int = NUM_REJECTS,
    restricted: bool = False,
    index_words: bool = True,
) -> Release:
    """Publish the first so many pairs and rejects, those that are there already left alone."""
    layout, lineage = DatasetLayout(name), Lineage(name, "f" * 64, restricted)
    rejects = range(FIRST_REJECT, FIRST_REJECT + num_rejects)
    makers: dict[Table, tuple[range, Callable[[int], Row]]] = {
        Table.SAMPLES: (range(num_pairs), lambda index: sample_row(made_row(index).written.sample)),
        Table.REPORTS: (range(num_pairs), lambda index: report_row(made_row(index).written)),
        Table.PAIRS: (range(num_pairs), lambda index: pair_row(made_row(index))),
        Table.REJECTS: (rejects, _made_reject),
    }
    for table, (indices, make) in makers.items():
        schema = table_schema(table, lineage)
        published = PublishedTable(store, layout.table(table), schema)
        units: dict[int, list[Row]] = {}
        for index in indices:
            units.setdefault(index // UNIT_SIZE, []).append(make(index))
        rows = {unit: to_table(made_rows, schema) for unit, made_rows in units.items()}
        publish(published, rows, rows.__getitem__)
        if index_words and table in (Table.PAIRS, Table.REJECTS):
            index_texts(published)
    return create_release(store, layout, lineage, target=200, complete=False)


def _made_reject(index: int) -> Row:
    reason = RejectionReason.CONSTANT if index % 2 else RejectionReason.MISSING_ENTITY
    stage = Stage.PAINT if index % 2 else Stage.WRITE
    decision = Decision(index, index // UNIT_SIZE, stage, Outcome.REJECTED, reason)
    row = made_row(index, reason)
    return reject_row(row if index % 2 else row.written, decision)


@contextmanager
def client_of(settings: Settings) -> Iterator[TestClient]:
    """A browser's view of the application, on loopback."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1:4300") as client:
        yield client


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Serve the application on a free port of this machine; gives its address."""
    config = uvicorn.Config(
        create_app(settings), log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def make_root(root: str) -> Settings:
    """A root with one release."""
    make_release(open_store(root))
    return Settings(root=root)
