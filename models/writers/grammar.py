"""A report grammar: any entity set becomes FINDINGS and an IMPRESSION, without weights.

FINDINGS goes region by region: what is there, what may be there, what is not, and each requested
anatomy term that no finding was placed in. The IMPRESSION repeats what is or may be there, the most
important first. Nothing is said that was not asked for, and nothing compares with another time.
Read in this order: phrases.yaml, noun_phrases, sentences, this.
"""

import time
from collections.abc import Sequence
from random import Random

from models.engines import EngineInfo, WriteRequest, WrittenReport
from models.vocabulary.anatomy import Side
from models.vocabulary.concepts import Concept, Region, load_vocabulary
from models.writers.configs import GrammarConfig
from models.writers.noun_phrases import Wording, concept_of
from models.writers.phrases import load_phrases
from models.writers.sentences import Sentences
from storage.records import Entity, EntityKind, EntityStatus, Report

_ORDERS = (
    (Region.HEART, Region.LUNGS, Region.PLEURA, Region.BONES, Region.DEVICES),
    (Region.LUNGS, Region.PLEURA, Region.HEART, Region.BONES, Region.DEVICES),
    (Region.DEVICES, Region.HEART, Region.LUNGS, Region.PLEURA, Region.BONES),
)


class GrammarWriter:
    """Implements `ReportWriter`. Deterministic: a report depends on its request alone."""

    max_batch_size = 1024

    def __init__(self, config: GrammarConfig) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=True)
        self._phrases = load_phrases()
        self._wording = Wording(self._phrases, varied=config.wording == "varied")

    def write(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        """Answer every request, in order."""
        return [self._write_one(request) for request in requests]

    def close(self) -> None:
        """Nothing to give back."""

    def _write_one(self, request: WriteRequest) -> WrittenReport:
        start = time.perf_counter()
        composer = Composer(self._wording, request)
        report = Report(composer.findings(), composer.impression())
        prompt = "; ".join(describe(entity) for entity in request.entities)
        return WrittenReport(report, prompt, time.perf_counter() - start)


def describe(entity: Entity) -> str:
    """An entity in words, for the prompt column: "atelectasis (present, left lung base)"."""
    details = [str(entity.status), entity.severity and str(entity.severity), entity.anatomy]
    return f"{entity.text} ({', '.join(filter(None, details))})"


class Composer:
    """Decides what one report says, in which order; all choices come from the request's seed."""

    def __init__(self, wording: Wording, request: WriteRequest) -> None:
        self._phrases = wording.phrases
        self._random = Random(request.seed)
        self._entities = request.entities
        self._sentences = Sentences(wording, request.entities, self._random)
        self._said = [
            e
            for e in request.entities
            if e.kind.is_clinical and e.status is not EntityStatus.ABSENT
        ]

    def findings(self) -> str:
        """The FINDINGS section, one paragraph."""
        order = self._random.choice(_ORDERS)
        denials_together = self._random.random() < 0.5
        sentences: list[str] = []
        waiting: list[Entity] = []
        for region in order:
            members = [e for e in self._entities if self._region(e) is region]
            waiting += [e for e in members if e.status is EntityStatus.ABSENT]
            free, touched = self._unnamed_places(members)
            sentences += self._sentences.normal_places(free)
            sentences += self._sentences.statements([e for e in members if e in self._said])
            if not (region is Region.LUNGS and denials_together):
                sentences += self._sentences.denials(waiting)
                waiting = []
            sentences += self._sentences.otherwise_normal_places(touched)
        return " ".join(sentences) or self._random.choice(self._phrases.unremarkable_examination)

    def impression(self) -> str:
        """The IMPRESSION section: a summary of what is or may be there, most important first."""
        ranked = sorted(self._said, key=self._importance)
        sentences = list(self._sentences.summary(ranked))
        if all(e.text in self._phrases.quiet for e in ranked):
            sentences.append(self._random.choice(self._phrases.nothing_found))
        if len(sentences) > 1 and self._random.random() < 0.4:
            sentences = [f"{number}. {s}" for number, s in enumerate(sentences, start=1)]
        return " ".join(sentences)

    def _importance(self, entity: Entity) -> tuple[bool, bool, int]:
        """Sort key: the quiet last, what may be there after what is, then the phrases' order."""
        rank = self._phrases.importance.get(entity.text, len(self._phrases.importance))
        return entity.text in self._phrases.quiet, entity.status is EntityStatus.UNCERTAIN, rank

    def _region(self, entity: Entity) -> Region:
        if entity.kind is EntityKind.ANATOMY:
            return self._phrases.regions.get(entity.text, Region.BONES)
        concept = concept_of(entity)
        return concept.region if concept and concept.region else Region.LUNGS

    def _unnamed_places(self, members: Sequence[Entity]) -> tuple[list[str], list[str]]:
        """Anatomy that no finding names: untouched by findings, and touched."""
        named = {e.anatomy for e in self._entities if e.kind.is_clinical}
        places = [e for e in members if e.kind is EntityKind.ANATOMY and e.text not in named]
        touched = [e.text for e in places if self._touched(e)]
        return [e.text for e in places if e.text not in touched], touched

    def _touched(self, place: Entity) -> bool:
        """Whether calling this place normal would sit badly with what else is said."""
        near = [f for f in self._said if self._region(f) is self._region(place)]
        whole = bool(near) and place.text in self._phrases.whole_places
        return whole or any(self._overlap(finding, place) for finding in near)

    def _overlap(self, finding: Entity, place: Entity) -> bool:
        """Whether a finding of the same region may reach into a place.

        In the lungs it may reach anything on its side; a bone says nothing of its neighbours.
        """
        here, concept = concept_of(place), concept_of(finding)
        there = load_vocabulary().concepts.get(finding.anatomy or "")
        if self._region(place) is Region.BONES:
            where = concept.anatomies if concept and finding.anatomy is None else ()
            return place.text in where or _same_family(here, there)
        if here is None or there is None:
            return finding.anatomy is None
        return there.side is here.side or Side.BOTH in (there.side, here.side)


def _same_family(one: Concept | None, other: Concept | None) -> bool:
    """Whether two anatomy terms are left, right or both of one thing."""
    return one is not None and other is not None and None is not one.family == other.family
