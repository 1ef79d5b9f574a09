"""The writer that writes nothing: the sample's report is a real one (study 2)."""

from collections.abc import Iterable, Sequence

from models.engines import EngineInfo, WriteRequest, WrittenReport
from models.writers.configs import CorpusReportsConfig
from storage.records import Entity


class CorpusWriter:
    """Implements `ReportWriter`: hands on the real report that came with each request."""

    max_batch_size = 4096

    def __init__(self, config: CorpusReportsConfig) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=True)

    def write(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        """The report of every request, in order."""
        return [_taken(request) for request in requests]

    def close(self) -> None:
        """Nothing was opened."""


def stated_entities(
    in_findings: Iterable[Entity], in_impression: Iterable[Entity]
) -> tuple[Entity, ...]:
    """What a real report states in either section, one entity per (text, kind), FINDINGS first.

    Where both place an entity, FINDINGS are the more exact.
    """
    stated: dict[object, Entity] = {}
    for entity in (*in_findings, *in_impression):
        stated.setdefault(entity.key, entity)
    return tuple(stated.values())


def _taken(request: WriteRequest) -> WrittenReport:
    assert request.source is not None, f"sample {request.sample_id} takes no real report"
    return WrittenReport(request.source, prompt="", engine_seconds=0.0)
