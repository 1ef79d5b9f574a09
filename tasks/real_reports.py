"""Samples that take a real report each (study 2): which report, and what it says."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from models.engines import EngineConfig
from models.sampling.patients import PatientMix, position
from models.taggers.opening import open_tagger
from models.writers.configs import CorpusReportsConfig
from models.writers.corpus import stated_entities
from storage.corpora import Corpus, read_corpus
from storage.errors import PlanMismatch
from storage.identity import sample_id
from storage.objects import ObjectStore
from storage.readers.rows import CorpusReport
from storage.records import Entity, Report, Sample, SourceReport, Split
from storage.samples import samples_table
from storage.units import Unit

BATCH_REPORTS = 256


@dataclass(frozen=True)
class RealReports:
    """All that decides which report each candidate of a plan takes."""

    corpus: Corpus
    config: CorpusReportsConfig
    tagger: EngineConfig
    patients: PatientMix
    seed: int
    fingerprint: str
    units: tuple[Unit, ...]

    @cached_property
    def samples(self) -> list[Sample]:
        """Every candidate, with the entities its report states; read when first asked for.

        Candidate i takes the i-th report in the order that the seed gives them. What reports say
        of sex and age is not looked for, so neither is stated; their view is drawn.
        """
        chosen = self._chosen()
        unit_of = [unit.number for unit in self.units for _ in unit.indices]
        return [
            self._sample(index, unit_of[index], report, entities)
            for index, (report, entities) in enumerate(
                zip(chosen, _tagged(self.tagger, chosen), strict=True)
            )
        ]

    def rows(self, indices: range) -> pa.Table:
        """The candidates of these indices, as rows of samples."""
        return samples_table(self.samples[indices.start : indices.stop])

    def _chosen(self) -> list[CorpusReport]:
        def place(report: CorpusReport) -> float:
            return position(report.report_id, f"report {self.seed}")

        usable = sorted(usable_reports(self.corpus, self.config), key=place)
        return usable[: self.units[-1].stop]

    def _sample(
        self, index: int, unit: int, report: CorpusReport, entities: tuple[Entity, ...]
    ) -> Sample:
        named = sample_id(self.fingerprint, index)
        view, _, _ = self.patients.describe(named)
        return Sample(
            index=index,
            sample_id=named,
            unit=unit,
            split=report.split,
            entities=entities,
            view=view,
            source=SourceReport(self.corpus.name, report.report_id, report.patient_id),
        )


def usable_reports(corpus: Corpus, config: CorpusReportsConfig) -> Iterator[CorpusReport]:
    """Reports of training patients that have the sections a plan asks for."""
    needed = ("findings", "impression") if config.sections == "both" else (config.sections,)
    for report in corpus.reports(Split.TRAIN):
        if all(getattr(report, section) for section in needed):
            yield report


def require_enough(corpus: Corpus, config: CorpusReportsConfig, num_candidates: int) -> None:
    """Refuse a plan of more candidates than there are reports.

    Raises:
        ValueError: If there are too few; says how many there are.
    """
    num_usable = sum(1 for _ in usable_reports(corpus, config))
    if num_usable < num_candidates:
        sections = "both sections" if config.sections == "both" else config.sections
        raise ValueError(
            f"target: expected at most as many candidates as corpus {corpus.name!r} has reports "
            f"of training patients with {sections} ({num_usable}), got {num_candidates}; lower "
            "target (a candidate takes a report of its own)"
        )


def source_reports(store: ObjectStore, samples: Iterable[Sample]) -> dict[str, Report]:
    """By sample id, the real reports of those samples that take one; a missing section is empty.

    Raises:
        PlanMismatch: If the corpus has no such report of a training patient any more.
    """
    taken: dict[str, dict[str, str]] = defaultdict(dict)  # corpus, report id, sample id
    for sample in samples:
        if sample.source is not None:
            taken[sample.source.corpus][sample.source.report_id] = sample.sample_id
    found: dict[str, Report] = {}
    for corpus, sample_of in taken.items():
        for report in read_corpus(store, corpus).reports(Split.TRAIN, among=sample_of.keys()):
            found[sample_of[report.report_id]] = _report(report)
        if missing := [one for one, sample in sample_of.items() if sample not in found]:
            raise PlanMismatch(
                f"corpus {corpus!r} lacks {len(missing)} reports that samples take (the first "
                f"{missing[0]!r}); bring the same corpus in, or make a dataset of another name"
            )
    return found


def _tagged(tagger: EngineConfig, reports: Sequence[CorpusReport]) -> Iterator[tuple[Entity, ...]]:
    with closing(open_tagger(tagger)) as engine:
        for start in range(0, len(reports), BATCH_REPORTS):
            batch = reports[start : start + BATCH_REPORTS]
            findings = engine.tag([report.findings or "" for report in batch])
            impressions = engine.tag([report.impression or "" for report in batch])
            for sections in zip(findings, impressions, strict=True):
                yield stated_entities(*sections)


def _report(report: CorpusReport) -> Report:
    return Report(report.findings or "", report.impression or "")
