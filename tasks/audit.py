"""The task that puts a real corpus's images to image gates: a table, every verdict, a sheet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import islice
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from models.engines import EngineConfig, ImageGate, PaintedImage, PaintRequest
from models.gates.audit import Audit, AuditRow, GateVerdict
from models.images import decode_png
from storage.corpora import Corpus, read_corpus
from storage.identity import canonical_json
from storage.layout import corpus_table
from storage.objects import ObjectStore, open_store
from storage.readers.rows import CorpusImage
from storage.records import Report, View
from storage.worst_sheet import SheetImage, SheetRow, worst_sheet
from tasks.artifacts import artifact_key

BATCH_IMAGES = 64
CSV_COLUMNS = (
    *("image_id", "view", "labels", "gate", "reason"),  # the gate's, of the image as a whole
    *("measure", "value", "threshold", "passed"),
)


@task(name="audit-images", cache_policy=NO_CACHE, persist_result=False)
def audit_images(root: str, corpus: str, gates: Sequence[EngineConfig]) -> dict[str, Any]:
    """Check every image of a corpus, of all splits: nothing is learnt from them here.

    Beside the corpus, in `corpora/<name>.audits/<id>/`, lie `summary.json`, `verdicts.csv` (every
    score of every image) and, where something was rejected, `worst.png`. The id is of corpus and
    gates: the same audit again lies in the same place.

    Returns:
        The summary: counts alone, no image's name.

    Raises:
        ValueError: If there is no such corpus, or it has no images.
        EngineUnavailable: If a gate's bank, table or weights are missing.
    """
    store = open_store(root)
    source = read_corpus(store, corpus)
    folder = audit_folder(source, gates)
    opened = [gate.open() for gate in gates]
    audit, verdicts = Audit(), io.StringIO()
    lines = csv.writer(verdicts)
    lines.writerow(CSV_COLUMNS)
    for image, found in _judged(source.images(), opened):
        audit.add(image.image_id, image.image, image.view, image.labels, found)
        lines.writerows(_lines(image, found))
    rows = audit.rows()
    summary = {
        "corpus": corpus,
        "corpus_version": source.version,
        "restricted": source.info.restricted,
        "folder": store.uri(folder),
        "gates": [gate.model_dump(mode="json") for gate in gates],
        "num_images": audit.num_images,
        "num_rejected": audit.num_rejected,
        "rows": [asdict(row) | {"share": round(row.share, 4)} for row in rows],
    }
    store.put(f"{folder}/verdicts.csv", verdicts.getvalue().encode())
    _put_sheet(store, folder, corpus, audit)
    store.put(f"{folder}/summary.json", json.dumps(summary, indent=2).encode())
    get_run_logger().info("%d of %d images rejected", audit.num_rejected, audit.num_images)
    show_audit(corpus, audit, rows)
    return summary


def audit_folder(source: Corpus, gates: Sequence[EngineConfig]) -> str:
    """Where an audit lies: beside the corpus, by corpus and gates."""
    looked = [[gate.model_dump(mode="json"), gate.revision()] for gate in gates]
    pinned = canonical_json([source.info.source_sha256, source.version, looked])
    name = corpus_table(source.name).removesuffix(".lance")
    return f"{name}.audits/{sha256(pinned).hexdigest()[:12]}"


def rejected_images(
    store: ObjectStore, source: Corpus, gates: Sequence[EngineConfig]
) -> frozenset[str]:
    """Ids of the images that an audit by these gates rejected.

    Raises:
        ValueError: If the corpus was not audited by them.
    """
    folder = audit_folder(source, gates)
    if not store.exists(f"{folder}/summary.json"):  # put last
        kinds = ", ".join(gate.kind for gate in gates)
        raise ValueError(
            f"corpus {source.name!r} must have been audited by the gates {kinds} with the same "
            f"settings, found no such audit; run cxr-factory audit {source.name}, with --plan for "
            "gates other than the technical one"
        )
    verdicts = io.StringIO(store.get(f"{folder}/verdicts.csv").decode(), newline="")
    return frozenset(line["image_id"] for line in csv.DictReader(verdicts) if line["reason"])


def show_audit(corpus: str, audit: Audit, rows: Sequence[AuditRow]) -> None:
    """The table in Prefect's UI: counts by gate, reason, view and known finding; no image."""
    table = [
        {
            "gate": row.gate,
            "reason": str(row.reason),
            "group": row.group,
            "name": row.name,
            "rejected": row.num_rejected,
            "of": row.num_images,
            "share": round(row.share, 4),
        }
        for row in rows
    ]
    create_table_artifact(
        table=table,
        key=f"{artifact_key(corpus)}-audit",
        description=f"{corpus}: {audit.num_rejected} of {audit.num_images} images rejected.",
    )


def _judged(
    images: Iterable[CorpusImage], gates: Sequence[ImageGate]
) -> Iterator[tuple[CorpusImage, list[GateVerdict]]]:
    """Every image with what each gate says of it; few are held at once."""
    remaining = iter(images)
    while batch := list(islice(remaining, BATCH_IMAGES)):
        requests = [_as_request(image) for image in batch]
        painted = [PaintedImage(decode_png(image.image), (), 0.0) for image in batch]
        found = [(gate.info.kind, gate.check(requests, painted)) for gate in gates]
        for at, image in enumerate(batch):
            yield image, [GateVerdict(kind, verdicts[at]) for kind, verdicts in found]


def _as_request(image: CorpusImage) -> PaintRequest:
    """The request that a real image would answer: its own report, under its own name."""
    report = Report(image.findings or "", image.impression or "")
    return PaintRequest(
        sample_id=image.image_id,
        seed=0,
        prompt=report.impression or report.findings,
        report=report,
        entities=(),
        view=View.AP if image.view == View.AP else View.PA,  # a request has one; no gate asks
    )


def _lines(image: CorpusImage, found: Sequence[GateVerdict]) -> Iterator[tuple[object, ...]]:
    labels = "|".join(image.labels)
    for one in found:
        for score in one.verdict.scores:
            yield (
                *(image.image_id, image.view or "", labels, one.gate, one.verdict.reason or ""),
                *(score.measure, score.value, score.threshold, score.passed),
            )


def _put_sheet(store: ObjectStore, folder: str, corpus: str, audit: Audit) -> None:
    rows = [
        SheetRow(
            f"{gate}: {reason}",
            tuple(
                SheetImage(
                    one.image,
                    (
                        one.image_id[-28:],
                        f"{one.score.measure} {one.score.value:.3g}",
                        f"threshold {one.score.threshold:.3g}",
                    ),
                )
                for one in images
            ),
        )
        for (gate, reason), images in audit.worst().items()
    ]
    if rows:
        title = f"{corpus}: the worst of {audit.num_rejected} rejected of {audit.num_images} images"
        store.put(f"{folder}/worst.png", worst_sheet(title, rows))
