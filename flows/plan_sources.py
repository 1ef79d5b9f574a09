"""The real data that a plan draws on: what is pinned of it, and what is drawn from it."""

from collections.abc import Mapping
from typing import Any

from flows.plans import BuiltInEntities, DatasetPlan
from models.engines import EngineConfig
from models.sampling.entity_table import EntityTable
from models.sampling.feasibility import check_feasible
from models.writers.configs import CorpusReportsConfig
from models.writers.language_model.configs import LanguageModelConfig
from storage.corpora import read_corpus
from storage.objects import ObjectStore
from storage.units import Unit
from tasks.examples import read_examples
from tasks.planning import Drawing, built_in_table, corpus_table
from tasks.real_reports import RealReports, require_enough


def pinned_corpora(plan: DatasetPlan, store: ObjectStore) -> dict[str, Any]:
    """What plan.lock.json holds of the corpus that samples come from, and of that of examples.

    By content, so that a copy of the corpus under another root fits. None: no corpus. Engines
    made from credentialed data count as such a corpus.

    Raises:
        ValueError: If the plan names a corpus that was not ingested.
        EngineUnavailable: If an engine's model is missing.
    """
    name, writer = _corpus_name(plan), plan.writer
    pinned = {"corpus": None if name is None else _pinned(store, name)}
    if isinstance(writer, LanguageModelConfig) and writer.examples is not None:
        pinned["examples"] = _pinned(store, writer.examples.corpus)
    if any(engine.restricted() for engine in plan.engines().values()):
        pinned["engines"] = {"restricted": True}
    return pinned


def engines_of(plan: DatasetPlan, store: ObjectStore) -> dict[str, EngineConfig]:
    """Every engine the plan names, by its place in it, with what it needs of the plan's corpora.

    A writer gets the example reports it refers to, a tagger the entities that it must read back.

    Raises:
        ValueError: If there is no such corpus, it has too few reports to show, or no entity table.
    """
    engines = plan.engines() | {"writer": read_examples(plan.writer, store)}
    if not isinstance(plan.writer, CorpusReportsConfig):
        _, engines["tagger"] = _entities(plan, store)
    return engines


def is_restricted(corpora: Mapping[str, Any]) -> bool:
    """Whether any pinned corpus is credentialed data: then what derives from it is marked so."""
    return any(pinned is not None and pinned["restricted"] for pinned in corpora.values())


def entities_revision(plan: DatasetPlan, store: ObjectStore) -> str | None:
    """The revision of the table a plan draws from; None where it takes real reports."""
    if isinstance(plan.writer, CorpusReportsConfig):
        return None
    return _entities(plan, store)[0].revision()


def require_drawable(plan: DatasetPlan, store: ObjectStore) -> dict[str, str]:
    """Check a plan over all its candidates, reserves included; the revision of its entity table.

    Raises:
        ValueError: If the plan is impossible.
    """
    if isinstance(plan.writer, CorpusReportsConfig):
        corpus = read_corpus(store, plan.writer.corpus)
        require_enough(corpus, plan.writer, plan.target.num_candidates)
        return {}
    table, _ = _entities(plan, store)
    check_feasible(table, plan.sampling, plan.target.num_candidates)
    return {"entities": table.revision()}


def drawing_of(
    plan: DatasetPlan, store: ObjectStore, fingerprint: str, units: tuple[Unit, ...]
) -> Drawing | RealReports:
    """What every candidate is asked to show, or which real report it takes."""
    if isinstance(plan.writer, CorpusReportsConfig):
        return RealReports(
            corpus=read_corpus(store, plan.writer.corpus),
            config=plan.writer,
            tagger=plan.tagger,
            patients=plan.patients,
            seed=plan.seed,
            fingerprint=fingerprint,
            units=units,
        )
    table, _ = _entities(plan, store)
    return Drawing(
        table=table,
        rules=plan.sampling,
        patients=plan.patients,
        split_shares=(plan.splits.train, plan.splits.validation, plan.splits.test),
        seed=plan.seed,
        fingerprint=fingerprint,
        units=units,
    )


def _corpus_name(plan: DatasetPlan) -> str | None:
    if isinstance(plan.writer, CorpusReportsConfig):
        return plan.writer.corpus
    return None if isinstance(plan.entities, BuiltInEntities) else plan.entities.corpus


def _pinned(store: ObjectStore, name: str) -> dict[str, Any]:
    info = read_corpus(store, name).info
    return {"source_sha256": info.source_sha256, "restricted": info.restricted}


def _entities(plan: DatasetPlan, store: ObjectStore) -> tuple[EntityTable, EngineConfig]:
    """The table a plan draws from, and its tagger, which can read all of it back."""
    source = plan.entities
    if isinstance(source, BuiltInEntities):
        table = built_in_table(source.num_clinical, source.num_anatomy, source.finding_weight)
        return table, plan.tagger
    return corpus_table(read_corpus(store, source.corpus), plan.tagger)
