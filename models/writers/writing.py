"""The write stage's station and its algorithm: write, tag, check, try again (study 1, step 4)."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType

from models.engines import (
    EngineConfig,
    EntityTagger,
    Placement,
    ReportWriter,
    WriteRequest,
    WrittenReport,
)
from models.gates.report import ReportRules, check_real_report, check_report
from models.served_engines import ServedWriter
from models.settling import (
    Attempt,
    Seeds,
    outcome_of,
    provenance,
    quarantine_provenance,
    run_tries,
)
from models.taggers.opening import open_tagger
from models.writers.corpus import stated_entities
from storage.errors import EngineFailed
from storage.records import Entity, Outcome, RejectionReason, Report, ReportRow, Sample, Verdict


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """One judged try at a report."""

    report: Report
    entities_found: tuple[Entity, ...]
    verdict: Verdict
    prompt: str
    engine_seconds: float
    prompt_sha256: str
    num_tokens: int


@dataclass(frozen=True, slots=True)
class WriteStationConfig:
    """A writer, the tagger that reads what it wrote, and the report gate's rules."""

    writer: EngineConfig
    tagger: EngineConfig
    rules: ReportRules

    @property
    def placement(self) -> Placement:
        """The writer's."""
        return self.writer.placement

    def open(self) -> "WriteStation":
        """Load a writer that takes batches, and the tagger."""
        return WriteStation(self.writer.open(), self._gate())

    def connect(self) -> "ServedWriteStation":
        """Open a writer that is served, and load the tagger."""
        return ServedWriteStation(self.writer.open(), self._gate())

    def _gate(self) -> "_ReportGate":
        return _ReportGate(open_tagger(self.tagger), self.rules)


class _ReportGate:
    """Tag, check (study 1, step 4)."""

    def __init__(self, tagger: EntityTagger, rules: ReportRules) -> None:
        self._tagger = tagger
        self._rules = rules

    def judge(
        self, requests: Sequence[WriteRequest], written: Sequence[WrittenReport]
    ) -> list[WriteOutcome]:
        """One verdict per report, in order."""
        sections = [answer.report.findings for answer in written]
        sections += [answer.report.impression for answer in written]
        tagged = self._tagger.tag(sections)
        findings, impressions = tagged[: len(written)], tagged[len(written) :]
        return [
            self._outcome(*parts)
            for parts in zip(requests, written, findings, impressions, strict=True)
        ]

    def _outcome(
        self,
        request: WriteRequest,
        written: WrittenReport,
        in_findings: tuple[Entity, ...],
        in_impression: tuple[Entity, ...],
    ) -> WriteOutcome:
        if request.source is not None:
            verdict = check_real_report(written.report, self._rules)
            found = stated_entities(in_findings, in_impression)
        else:
            verdict = check_report(
                request.entities, written.report, in_findings, in_impression, self._rules
            )
            found = in_findings
        return WriteOutcome(
            report=written.report,
            entities_found=found,
            verdict=verdict,
            prompt=written.prompt,
            engine_seconds=written.engine_seconds,
            prompt_sha256=written.prompt_sha256,
            num_tokens=written.num_tokens,
        )

    def close(self) -> None:
        """Close the tagger."""
        self._tagger.close()


class WriteStation:
    """Write, tag, check, a batch at a time. Implements `Station`."""

    def __init__(self, writer: ReportWriter, gate: _ReportGate) -> None:
        self.info = writer.info
        self.max_batch_size = writer.max_batch_size
        self._writer = writer
        self._gate = gate

    def run(self, requests: Sequence[WriteRequest]) -> list[WriteOutcome]:
        """One judged report per request, in order."""
        written = self._writer.write(requests)
        assert len(written) == len(requests), f"{self.info.kind} lost a report"
        return self._gate.judge(requests, written)

    def close(self) -> None:
        """Close writer and tagger."""
        self._writer.close()
        self._gate.close()


class ServedWriteStation:
    """Write; tag and check what has come back. Implements `ServedStation`."""

    def __init__(self, writer: ServedWriter, gate: _ReportGate) -> None:
        self.engine = writer
        self._gate = gate

    async def ask(self, request: WriteRequest) -> WrittenReport:
        """The writer's report."""
        return await self.engine.write(request)

    def judge(
        self, requests: Sequence[WriteRequest], answers: Sequence[WrittenReport]
    ) -> list[WriteOutcome]:
        """One judged report per answer, in order."""
        return self._gate.judge(requests, answers)

    def close(self) -> None:
        """Close the tagger."""
        self._gate.close()


def write_samples(
    samples: Sequence[Sample],
    submit: "Callable[[WriteRequest], Future[WriteOutcome]]",
    seeds: Seeds,
    max_tries: int,
    timeout_seconds: float,
    attempt: Attempt,
    sources: Mapping[str, Report] = MappingProxyType({}),
) -> list[ReportRow]:
    """Write a report for every sample and put it to the report gate (study 1, step 4).

    Args:
        samples: What to write, in the order of the result.
        submit: Takes one try at one report.
        seeds: Seed of a sample's try.
        max_tries: Tries per report, at least 1.
        timeout_seconds: Longest all of it may take.
        attempt: Goes into provenance.
        sources: By sample id, the real reports of samples that take one (study 2).
    """

    def submit_try(sample: Sample, number: int) -> "Future[WriteOutcome]":
        return submit(
            WriteRequest(
                sample_id=sample.sample_id,
                seed=seeds(sample.sample_id, number),
                entities=sample.entities,
                view=sample.view,
                sex=sample.sex,
                age_years=sample.age_years,
                source=sources.get(sample.sample_id),
            )
        )

    tried = run_tries(samples, submit_try, max_tries, timeout_seconds)
    return [
        ReportRow(
            sample=sample,
            outcome=outcome_of(result.outcome.verdict),
            reason=result.outcome.verdict.reason,
            report=result.outcome.report,
            entities_found=result.outcome.entities_found,
            scores=result.outcome.verdict.scores,
            provenance=provenance(
                attempt,
                sample,
                seeds,
                result,
                result.outcome.prompt,
                result.outcome.prompt_sha256,
            ),
        )
        for sample, result in zip(samples, tried, strict=True)
    ]


def quarantined_report(
    sample: Sample, error: EngineFailed, seeds: Seeds, attempt: Attempt
) -> ReportRow:
    """The row of a sample whose report no engine call survives: settled, shown, never dropped."""
    return ReportRow(
        sample=sample,
        outcome=Outcome.QUARANTINED,
        reason=RejectionReason.ENGINE_FAILED,
        report=None,
        entities_found=(),
        scores=(),
        provenance=quarantine_provenance(sample, error, seeds, attempt),
    )
