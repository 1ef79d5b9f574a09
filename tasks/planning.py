"""The plan stage's task: entities of every candidate drawn, samples written once."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.engines import EngineConfig
from models.sampling.curation import curate
from models.sampling.entity_table import EntityTable, vocabulary_table
from models.sampling.patients import PatientMix
from models.sampling.rules import SamplingRules
from models.sampling.sampler import draw
from models.sampling.samples import PlannedSamples
from models.taggers.configs import LexiconConfig
from models.taggers.table_terms import readable_terms
from models.vocabulary.concepts import load_vocabulary
from storage.corpora import Corpus, EntityCount
from storage.dataset import Dataset
from storage.identity import sample_id
from storage.publisher import Published
from storage.samples import planned_table, publish_samples
from storage.table_schemas import Lineage, sample_schema
from storage.units import Unit


@dataclass(frozen=True)
class Drawing:
    """All that decides what the candidates of a plan are asked to show."""

    table: EntityTable
    rules: SamplingRules
    patients: PatientMix
    split_shares: tuple[float, float, float]
    seed: int
    fingerprint: str
    units: tuple[Unit, ...]

    def rows(self, indices: range) -> pa.Table:
        """The candidates of these indices; all are drawn when first asked for."""
        sample_ids = [sample_id(self.fingerprint, index) for index in indices]
        entities = sample_schema().field("entities_requested").type
        drawn = self._planned.columns(indices, sample_ids, entities)
        return planned_table(indices, self.units, sample_ids, drawn)

    @cached_property
    def _planned(self) -> PlannedSamples:
        num_candidates = self.units[-1].stop
        drawn = draw(self.table, self.rules, num_candidates, self.seed, load_vocabulary())
        return PlannedSamples(drawn, self.patients, self.split_shares)


class Planned(Protocol):
    """What every candidate of a plan is: drawn, or taken from a corpus."""

    @property
    def units(self) -> tuple[Unit, ...]:
        """All units of the plan."""
        ...

    def rows(self, indices: range) -> pa.Table:
        """The candidates of these indices, as `sample_schema`; made when first asked for."""
        ...


@task(name="plan-samples", cache_policy=NO_CACHE, persist_result=False)
def plan_samples(dataset: Dataset, lineage: Lineage, drawing: Planned) -> Published:
    """Draw balanced entities for every candidate (study 1, step 3), or take its report (study 2).

    A dataset whose samples are written draws nothing.

    Raises:
        ValueError: If the rules cannot be met over all candidates.
    """
    return publish_samples(dataset, lineage, drawing.units, drawing.rows)


def built_in_table(
    num_clinical: int | None, num_anatomy: int | None, finding_weight: float
) -> EntityTable:
    """The vocabulary as an entity table; see `models.sampling.entity_table`."""
    return vocabulary_table(
        load_vocabulary(),
        num_clinical=num_clinical,
        num_anatomy=num_anatomy,
        finding_weight=finding_weight,
    )


def corpus_table(corpus: Corpus, tagger: EngineConfig) -> tuple[EntityTable, EngineConfig]:
    """The entities of a corpus that reports can be asked for, and the tagger that reads them back.

    Duplicates are merged, what fits no single-time report is left out; so is what the lexicon
    cannot tell from other words, where it is the tagger. What it can, it is taught.

    Raises:
        ValueError: If the corpus has no entity table, or nothing usable is left of it.
    """
    table = _curated(tuple(corpus.entity_counts()))
    return _readable(table, tagger) if isinstance(tagger, LexiconConfig) else (table, tagger)


# Kept for the shards of this process: seconds for 100,000 foreign strings.
@lru_cache(maxsize=2)
def _curated(entities: tuple[EntityCount, ...]) -> EntityTable:
    return curate(EntityTable.from_counts(entities), load_vocabulary()).table


@lru_cache(maxsize=2)
def _readable(table: EntityTable, tagger: LexiconConfig) -> tuple[EntityTable, LexiconConfig]:
    terms = [(text, kind) for text, kind, _ in table.rows()]
    found = readable_terms(tagger, terms)
    kept = table.select(np.array([term not in found.unreadable for term in terms], bool))
    if not len(kept):
        raise ValueError(
            f"entity table: expected at least one entity that the lexicon can read, got none of "
            f"{len(table)}; name the tagger that found them as the plan's tagger"
        )
    return kept, found.config
