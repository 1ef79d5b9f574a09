"""A locked plan and the dataset it makes: what every flow of a dataset opens first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flows.plan_files import parse_plan
from flows.plans import BuiltInEntities, DatasetPlan, ExecutionPlan, Name
from models.chat.hosts import require_may_send
from models.sampling.entity_table import EntityTable
from models.sampling.feasibility import check_feasible
from storage.corpora import read_corpus
from storage.dataset import Dataset, open_dataset
from storage.errors import EngineFailed, ObjectMissing, PlanMismatch
from storage.identity import fingerprint
from storage.objects import ObjectStore
from storage.plan_lock import lock_plan, read_plan
from storage.records import Stage
from storage.selection import Selection, SelectionRules, select
from storage.table_schemas import Lineage
from storage.units import Unit, partition
from tasks.planning import Drawing, built_in_table, corpus_table

SAMPLE_STAGES = (Stage.WRITE, Stage.PAINT)  # in the order a sample passes them


class ShardRef(BaseModel):
    """A run of units that one flow run handles: what crosses Prefect instead of data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: str = Field(description="Folder or s3://bucket/prefix that holds the dataset.")
    dataset: Name
    number: int = Field(ge=0, description="Position of the shard in the dataset.")
    units: tuple[int, ...] = Field(min_length=1, description="Units the shard still owes.")
    execution: ExecutionPlan = Field(default_factory=ExecutionPlan)


@dataclass(frozen=True, slots=True)
class Work:
    """A dataset with the plan it is locked to."""

    root: str
    plan: DatasetPlan
    fingerprint: str
    dataset: Dataset
    revisions: Mapping[str, str]
    restricted: bool

    @property
    def units(self) -> list[Unit]:
        """All units of the plan, reserves included."""
        target = self.plan.target
        return partition(target.num_accepted, target.num_candidates, self.plan.unit_size)

    def lineage(self) -> Lineage:
        """What every table and release of the dataset says of its origin."""
        return Lineage(self.plan.name, self.fingerprint, self.restricted)

    def drawing(self) -> Drawing:
        """What every candidate is asked to show."""
        plan = self.plan
        table, _ = _entity_table(plan, self.dataset.store)
        return Drawing(
            table=table,
            rules=plan.sampling,
            patients=plan.patients,
            split_shares=(plan.splits.train, plan.splits.validation, plan.splits.test),
            seed=plan.seed,
            fingerprint=self.fingerprint,
            units=tuple(self.units),
        )

    def selection(self) -> Selection:
        """What is published, and what the dataset still lacks, by plan and ledger."""
        records = {stage: self.dataset.ledger.settled(stage) for stage in SAMPLE_STAGES}
        rules = SelectionRules(
            target=self.plan.target.num_accepted,
            near_duplicate_max_distance=self.plan.image_rules.near_duplicate_max_distance,
        )
        return select(self.units, records, rules)

    def wanted_shards(self) -> Iterator[ShardRef]:
        """Shards of the units that are missing; reserves only while accepted pairs lack.

        Every unit is offered once: what fails is left for a retry.
        """
        size = self.plan.execution.shard_units
        offered: set[int] = set()
        while wanted := [u for u in self.selection().wanted_units if u not in offered]:
            offered.update(wanted)
            for number, units in groupby(wanted, key=lambda unit: unit // size):
                yield ShardRef(
                    root=self.root,
                    dataset=self.plan.name,
                    number=number,
                    units=tuple(units),
                    execution=self.plan.execution,
                )

    def require_engines(self) -> None:
        """Refuse to go on with engines that are not those the plan is locked to.

        Raises:
            PlanMismatch: If an engine's revision changed since; names which.
            EngineUnavailable: If an engine's model is missing.
            ValueError: If an engine would send restricted text to another host.
        """
        if self.restricted:
            require_may_send(self.plan.engines().values())
        for place, engine in self.plan.engines().items():
            if (found := engine.revision()) != self.revisions[place]:
                raise PlanMismatch(
                    f"dataset {self.plan.name!r} is locked to {place} {engine.kind} of revision "
                    f"{self.revisions[place]!r}, this installation has {found!r}; "
                    "install that version, or make a dataset of another name"
                )

    def require_settled(self, selection: Selection) -> None:
        """Refuse to release while units are missing.

        Raises:
            EngineFailed: Names how many are missing, why the first failed, and how to go on.
        """
        missing = selection.wanted_units
        if not missing:
            return
        raise EngineFailed(
            f"{self.plan.name}: {len(missing)} of {len(self.units)} units are not settled "
            f"(unit {missing[0]}: {self._last_failure(missing[0])}); nothing is released; run "
            f"cxr-factory retry {self.plan.name} --root {self.root}"
        )

    def _last_failure(self, unit: int) -> str:
        failures = [f for stage in SAMPLE_STAGES for f in self.dataset.ledger.failures(stage, unit)]
        return failures[-1].message if failures else "not attempted"


def lock_work(plan: DatasetPlan, root: str) -> Work:
    """Pin all that affects content in plan.lock.json, or find it pinned the same.

    Raises:
        PlanMismatch: If a dataset of this name was made by another plan; names what differs.
        EngineUnavailable: If an engine's model is missing.
        ValueError: If the plan is impossible, or names a corpus that was not ingested.
    """
    dataset, content = open_dataset(root, plan.name), plan_content(plan, root)
    named = lock_plan(dataset.store, dataset.layout, content)
    return Work(root, plan, named, dataset, content["revisions"], _is_restricted(content))


def plan_content(plan: DatasetPlan, root: str) -> dict[str, Any]:
    """Check a plan and resolve all of it that affects content; writes nothing.

    Raises:
        EngineUnavailable: If an engine's model is missing.
        ValueError: If the plan is impossible, or names a corpus that was not ingested.
    """
    table, corpus = _entity_table(plan, open_dataset(root, plan.name).store)
    if corpus is not None and corpus["restricted"]:
        require_may_send(plan.engines().values())
    check_feasible(table, plan.sampling, plan.target.num_candidates)
    revisions = {place: engine.revision() for place, engine in plan.engines().items()}
    return {
        "plan": plan.content(),
        "revisions": revisions | {"entities": table.revision()},
        "corpus": corpus,
    }


def open_work(root: str, name: str, execution: ExecutionPlan | None = None) -> Work:
    """The dataset of this name with its locked plan.

    Raises:
        ValueError: If there is no such dataset under the root.
    """
    dataset = open_dataset(root, name)
    try:
        content = read_plan(dataset.store, dataset.layout)
    except ObjectMissing as error:
        raise ValueError(
            f"expected a dataset {name!r} under {root}, found none; "
            "run cxr-factory generate, or name another root"
        ) from error
    settings = content["plan"] | {"name": name, "execution": execution or ExecutionPlan()}
    plan = parse_plan(settings, DatasetPlan, source=f"plan.lock.json of {name}")
    named, revisions = fingerprint(content), content["revisions"]
    return Work(root, plan, named, dataset, revisions, _is_restricted(content))


def _entity_table(
    plan: DatasetPlan, store: ObjectStore
) -> tuple[EntityTable, dict[str, Any] | None]:
    """The table the plan draws from, and what of its corpus is pinned.

    By content, so that a copy of the corpus under another root fits.
    """
    source = plan.entities
    if isinstance(source, BuiltInEntities):
        table = built_in_table(source.num_clinical, source.num_anatomy, source.finding_weight)
        return table, None
    corpus = read_corpus(store, source.corpus)
    pinned = {"source_sha256": corpus.info.source_sha256, "restricted": corpus.info.restricted}
    return corpus_table(corpus), pinned


def _is_restricted(content: Mapping[str, Any]) -> bool:
    corpus = content["corpus"]
    return corpus is not None and bool(corpus["restricted"])
