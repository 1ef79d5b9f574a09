"""What a corpus says of itself, kept in the metadata of its table."""

import json
from dataclasses import asdict, dataclass

from storage.errors import DamagedObject
from storage.readers.rows import Skipped

METADATA_KEY = b"cxr_factory.corpus"
MAX_LISTED = 1000  # skipped members named in the corpus; all are counted
MAX_LISTED_EACH = 100  # of one kind of reason, so that a common one does not hide the others


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest kept and what it passed over, with reasons.

    Attributes:
        num_rows: Rows of the corpus.
        num_skipped: Members that gave no row, and places where the source is damaged.
        skipped: The first of them, at most `MAX_LISTED_EACH` of a kind.
        num_by_reason: All of them by kind of reason, the most frequent first.
    """

    num_rows: int
    num_skipped: int
    skipped: tuple[Skipped, ...]
    num_by_reason: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CorpusInfo:
    """What a corpus says of itself.

    Attributes:
        collection: Whose patients these are ("openi", "nih", "mimic", "folder").
        licence: Of the source; holds for everything derived from it.
        restricted: Credentialed data: its text leaves the host only where a plan allows it.
        source_sha256: Names the content of the source.
        fractions: Of train, validation and test patients; None: the source's own split is kept.
        report: What the ingest kept and skipped.
    """

    collection: str
    licence: str
    restricted: bool
    source_sha256: str
    fractions: tuple[float, float, float] | None
    report: IngestReport


def info_metadata(info: CorpusInfo) -> dict[bytes, bytes]:
    """The schema metadata that carries what a corpus says of itself."""
    return {METADATA_KEY: json.dumps(asdict(info)).encode()}


def parse_info(name: str, metadata: dict[bytes, bytes] | None) -> CorpusInfo:
    """The inverse of `info_metadata`.

    Raises:
        DamagedObject: If the table of this corpus has no such metadata.
    """
    if METADATA_KEY not in (metadata or {}):
        raise DamagedObject(f"corpus {name!r}: its table says nothing of its source and licence")
    assert metadata is not None
    fields = json.loads(metadata[METADATA_KEY])
    report = fields.pop("report")
    skipped = tuple(Skipped(**entry) for entry in report.pop("skipped"))
    counts = tuple((reason, count) for reason, count in report.pop("num_by_reason", ()))
    fractions = fields.pop("fractions")
    return CorpusInfo(
        **fields,
        fractions=None if fractions is None else tuple(fractions),
        report=IngestReport(**report, skipped=skipped, num_by_reason=counts),
    )
