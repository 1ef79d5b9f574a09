"""A locked plan and the dataset it makes: what every flow of a dataset opens first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flows.plan_files import parse_plan
from flows.plan_sources import (
    drawing_of,
    engines_of,
    entities_revision,
    is_restricted,
    pinned_corpora,
    require_drawable,
)
from flows.plans import DatasetPlan, ExecutionPlan, Name
from models.chat.hosts import require_may_send
from models.writers.configs import CorpusReportsConfig
from models.writers.writing import WriteStationConfig
from storage.comparisons import Comparisons
from storage.dataset import Dataset, open_dataset
from storage.decisions import StageRecords
from storage.errors import EngineFailed, ObjectMissing, PlanMismatch
from storage.identity import fingerprint
from storage.layout import DatasetLayout
from storage.objects import ObjectStore
from storage.plan_lock import lock_plan, read_plan
from storage.records import Stage
from storage.rounds import Rounds, unjudged, unpainted
from storage.selection import Selection, SelectionRules, select
from storage.table_schemas import Lineage
from storage.units import Unit, partition
from tasks.planning import Planned


class ShardRef(BaseModel):
    """A run of units that one flow run handles: what crosses Prefect instead of data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: str = Field(description="Folder or s3://bucket/prefix that holds the dataset.")
    dataset: Name
    number: int = Field(ge=0, description="Position of the shard in the dataset.")
    units: tuple[int, ...] = Field(min_length=1, description="Units the shard still owes.")
    round_number: int = Field(1, ge=1, description="Of painting and judging; see storage.rounds.")
    execution: ExecutionPlan = Field(
        default_factory=ExecutionPlan, description="As the dataset's plan has it."
    )

    @property
    def place(self) -> str:
        """Names it in the dataset. Not by its units, which get fewer: they are in the ledger."""
        return f"{self.execution.shard_units}x{self.number}:{self.round_number}"

    @property
    def said(self) -> str:
        """The shard in words."""
        return f"{self.number} round {self.round_number}"

    @property
    def queue(self) -> str:
        """Of the work pool."""
        return self.execution.queue


@dataclass(frozen=True, slots=True)
class Work:
    """A dataset with the plan it is locked to."""

    root: str
    plan: DatasetPlan
    fingerprint: str
    dataset: Dataset
    revisions: Mapping[str, str]
    corpora: Mapping[str, Any]

    @property
    def store(self) -> ObjectStore:
        """The root."""
        return self.dataset.store

    @property
    def layout(self) -> DatasetLayout:
        """Of the dataset."""
        return self.dataset.layout

    @property
    def execution(self) -> ExecutionPlan:
        """Where and how shards run."""
        return self.plan.execution

    @property
    def restricted(self) -> bool:
        """Whether what is made derives from credentialed data."""
        return is_restricted(self.corpora)

    @property
    def units(self) -> list[Unit]:
        """All units of the plan, reserves included."""
        target = self.plan.target
        return partition(target.num_accepted, target.num_candidates, self.plan.unit_size)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that samples pass, in order."""
        judging = () if self.plan.judge is None else (Stage.JUDGE,)
        return (Stage.WRITE, Stage.PAINT, *judging)

    @property
    def rounds(self) -> Rounds:
        """How often the judge may send a sample back; one round without a judge."""
        max_rounds = 1 if self.plan.judge is None else self.plan.judge_rules.max_rounds
        return Rounds(len(self.units), max_rounds)

    def lineage(self) -> Lineage:
        """What every table and release of the dataset says of its origin."""
        return Lineage(self.plan.name, self.fingerprint, self.restricted)

    def drawing(self) -> Planned:
        """What every candidate is asked to show, or which real report it takes."""
        return drawing_of(self.plan, self.dataset.store, self.fingerprint, tuple(self.units))

    def write_station(self) -> WriteStationConfig:
        """The writer, with the tagger and rules that judge what it writes."""
        engines = engines_of(self.plan, self.dataset.store)
        return WriteStationConfig(engines["writer"], engines["tagger"], self.plan.report_rules)

    def selection(self) -> Selection:
        """What is published, and what the dataset still lacks, by plan and ledger."""
        return self._selection(Comparisons(self.store, self.layout))

    def compared_selection(self) -> Selection:
        """The same; what many images were compared for is put down for whoever asks next."""
        comparisons = Comparisons(self.store, self.layout)
        selection = self._selection(comparisons)
        comparisons.put_down()
        return selection

    def _selection(self, comparisons: Comparisons) -> Selection:
        return select(self.units, self._records(), self._selection_rules(), comparisons.find)

    def wanted_units(self) -> tuple[int, ...]:
        """Units to work on next, as far as can be told without comparing all images."""
        rules = replace(self._selection_rules(), near_duplicate_max_distance=None)
        return select(self.units, self._records(), rules).wanted_units

    def _records(self) -> StageRecords:
        return {stage: self.dataset.ledger.settled(stage) for stage in self.stages}

    def _selection_rules(self) -> SelectionRules:
        return SelectionRules(
            target=self.plan.target.num_accepted,
            near_duplicate_max_distance=self.plan.image_rules.near_duplicate_max_distance,
            max_rounds=self.rounds.max_rounds,
        )

    def wanted_shards(self) -> Iterator[list[ShardRef]]:
        """Shards of the units that are missing, in waves; reserves only while accepted pairs lack.

        Every unit is offered once: what fails is left for a retry.
        """
        size = self.plan.execution.shard_units
        offered: set[int] = set()
        while wanted := self._wanted_beyond(offered):
            offered.update(wanted)
            yield [
                ShardRef(
                    root=self.dataset.store.root,  # absolute: a worker runs in another folder
                    dataset=self.plan.name,
                    number=number,
                    units=tuple(units),
                    execution=self.plan.execution,
                )
                for number, units in groupby(wanted, key=lambda unit: unit // size)
            ]

    def _wanted_beyond(self, offered: set[int]) -> list[int]:
        """Wanted units not offered yet; images are compared only when nothing else is left."""
        sooner = [unit for unit in self.wanted_units() if unit not in offered]
        if sooner:
            return sooner
        return [unit for unit in self.compared_selection().wanted_units if unit not in offered]

    def rounds_of(self, shard: ShardRef) -> Iterator[ShardRef]:
        """The shard in its first round, then in each later one that has something to do."""
        ledger, rounds = self.dataset.ledger, self.rounds
        for number in rounds.all:
            if (
                number == 1
                or unpainted(ledger, rounds, shard.units, number)
                or unjudged(ledger, rounds, shard.units, number)
            ):
                yield shard.model_copy(update={"round_number": number})

    def require_engines(self) -> None:
        """Refuse to go on with engines that are not those the plan is locked to.

        Raises:
            PlanMismatch: If an engine's revision changed since; names which.
            EngineUnavailable: If an engine's model is missing.
            ValueError: If an engine would send restricted text to another host.
        """
        if self.restricted:
            require_may_send(self.plan.engines().values())
        if isinstance(self.plan.writer, CorpusReportsConfig):
            self._require_corpora()
        self._require_entities()
        for place, engine in engines_of(self.plan, self.dataset.store).items():
            if (found := engine.revision()) != self.revisions[place]:
                raise PlanMismatch(
                    f"dataset {self.plan.name!r} is locked to {place} {engine.kind} of revision "
                    f"{self.revisions[place]!r}, this installation has {found!r}; "
                    "install that version, or make a dataset of another name"
                )

    def _require_entities(self) -> None:
        found = entities_revision(self.plan, self.dataset.store)
        if found != self.revisions.get("entities"):
            raise PlanMismatch(
                f"dataset {self.plan.name!r} is locked to other entities than its plan's source "
                "has now; ingest the corpus with the tagger of that time, or make a dataset of "
                "another name"
            )

    def _require_corpora(self) -> None:
        if (found := pinned_corpora(self.plan, self.dataset.store)) != self.corpora:
            raise PlanMismatch(
                f"dataset {self.plan.name!r} is locked to corpora {self.corpora}, "
                f"{self.root} has {found}; bring those in, or make a dataset of another name"
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
        numbers = sorted(self.rounds.numbers([unit]))
        failures = [
            failure
            for number in numbers
            for stage in self.stages
            for failure in self.dataset.ledger.failures(stage, number)
        ]
        return failures[-1].message if failures else "not attempted; the log of this run says why"


def lock_work(plan: DatasetPlan, root: str) -> Work:
    """Pin all that affects content in plan.lock.json, or find it pinned the same.

    Raises:
        PlanMismatch: If a dataset of this name was made by another plan; names what differs.
        EngineUnavailable: If an engine's model is missing.
        ValueError: If the plan is impossible, or names a corpus that was not ingested.
    """
    dataset, content = open_dataset(root, plan.name), plan_content(plan, root)
    named = lock_plan(dataset.store, dataset.layout, content)
    return _work(root, plan, named, dataset, content)


def plan_content(plan: DatasetPlan, root: str) -> dict[str, Any]:
    """Check a plan and resolve all of it that affects content; writes nothing.

    Raises:
        EngineUnavailable: If an engine's model is missing.
        ValueError: If the plan is impossible, or names a corpus that was not ingested.
    """
    store = open_dataset(root, plan.name).store
    corpora = pinned_corpora(plan, store)
    if is_restricted(corpora):
        require_may_send(plan.engines().values())
    entities = require_drawable(plan, store)
    revisions = {place: engine.revision() for place, engine in engines_of(plan, store).items()}
    return {"plan": plan.content(), "revisions": revisions | entities, **corpora}


def open_work(root: str, name: str, execution: ExecutionPlan | None = None) -> Work:
    """The dataset of this name with its locked plan.

    Raises:
        ValueError: If there is no such dataset under the root.
        PlanMismatch: If this installation does not know all that the plan says.
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
    try:
        plan = parse_plan(settings, DatasetPlan, source=f"plan.lock.json of {name}")
    except ValueError as error:
        raise PlanMismatch(
            f"{error}; another version of the factory, or one with other engines installed, made "
            "the dataset; install the same here"
        ) from error
    return _work(root, plan, fingerprint(content), dataset, content)


def _work(
    root: str, plan: DatasetPlan, named: str, dataset: Dataset, content: Mapping[str, Any]
) -> Work:
    corpora = {key: value for key, value in content.items() if key not in ("plan", "revisions")}
    return Work(root, plan, named, dataset, content["revisions"], corpora)
