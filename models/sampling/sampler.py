"""Balanced sampling of entities for reports. Source: study 1 (PAPERS.md), step 3.

For each report k clinical and m anatomy entities are drawn, no entity more often than its cap.
Added to the study: nothing contradictory in one report, findings placed only in anatomy they occur
in, a share of normal reports. Shapes: N candidates, K clinical and M anatomy entities in each.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.sampling.compatibility import Compatibility
from models.sampling.dealing import Undealable, deal, mend
from models.sampling.entity_table import EntityTable
from models.sampling.feasibility import Demand, Supply, check_feasible, demand_of, supply_of
from models.sampling.placing import NOWHERE, improve_places, place_findings
from models.sampling.quotas import draw_num_present, draw_uses
from models.sampling.rules import SamplingRules, SamplingStrategy
from models.vocabulary.concepts import Vocabulary
from storage.records import Entity, EntityKind, EntityStatus, Severity

SEVERITIES = tuple(Severity)
NO_SEVERITY = -1
_PRESENT, _DENIED = 0, 1  # pools of clinical places


@dataclass(frozen=True, eq=False)
class EntityDraw:
    """What every candidate's report is asked to say, compactly.

    Attributes:
        table: Drawn from.
        clinical_NK: int32, table indices; present findings first, then denied ones.
        num_present_N: int8, how many of a row's clinical entities are present.
        anatomy_NM: int32, table indices.
        place_NK: int8, column of the anatomy a finding is in; -1 for none.
        uncertain_NK: Whether a present finding is stated as uncertain.
        severity_NK: int8, index into `SEVERITIES`; -1 for none.
    """

    table: EntityTable
    clinical_NK: NDArray[np.int32]
    num_present_N: NDArray[np.int8]
    anatomy_NM: NDArray[np.int32]
    place_NK: NDArray[np.int8]
    uncertain_NK: NDArray[np.bool_]
    severity_NK: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.num_present_N)

    def entities(self, index: int) -> tuple[Entity, ...]:
        """The entities of one candidate: present, denied, then anatomy that no finding is in."""
        clinical = [self._clinical(index, column) for column in range(self.clinical_NK.shape[1])]
        taken = set(self.place_NK[index].tolist())
        free = [
            Entity(self.table.texts[entity], EntityKind.ANATOMY, EntityStatus.PRESENT)
            for column, entity in enumerate(self.anatomy_NM[index])
            if column not in taken
        ]
        return (*clinical, *free)

    def uses(self) -> NDArray[np.int64]:
        """How many reports use each entity, int64 (entities,); placed anatomy counts as used."""
        both = np.concatenate([self.clinical_NK.ravel(), self.anatomy_NM.ravel()])
        return np.bincount(both, minlength=len(self.table))

    def digest(self) -> str:
        """SHA-256 of the draw; equal draws have equal digests; 64 hex digits."""
        digest = hashlib.sha256(self.table.revision().encode())
        for array in (
            self.clinical_NK,
            self.num_present_N,
            self.anatomy_NM,
            self.place_NK,
            self.uncertain_NK,
            self.severity_NK,
        ):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _clinical(self, index: int, column: int) -> Entity:
        entity = self.clinical_NK[index, column]
        text, kind = self.table.texts[entity], self.table.kind(entity)
        if kind.is_negated:
            return Entity(text, kind, EntityStatus.ABSENT)
        place, severity = self.place_NK[index, column], self.severity_NK[index, column]
        uncertain = self.uncertain_NK[index, column]
        return Entity(
            text=text,
            kind=kind,
            status=EntityStatus.UNCERTAIN if uncertain else EntityStatus.PRESENT,
            anatomy=(None if place == NOWHERE else self.table.texts[self.anatomy_NM[index, place]]),
            severity=None if severity == NO_SEVERITY else SEVERITIES[severity],
        )


def draw(
    table: EntityTable,
    rules: SamplingRules,
    num_candidates: int,
    seed: int,
    vocabulary: Vocabulary,
) -> EntityDraw:
    """Draw the entities of every candidate.

    The result depends on the arguments alone.

    Args:
        table: To draw from; see `curation.curate` for one made of raw strings.
        rules: How.
        num_candidates: All candidates of the plan, reserves included.
        seed: Of the plan, ≥ 0.
        vocabulary: Says what contradicts what and which findings occur where.

    Raises:
        ValueError: If the rules cannot be met; says what would make it possible.
    """
    check_feasible(table, rules, num_candidates)
    demand, supply = demand_of(rules, num_candidates), supply_of(table, rules, num_candidates)
    compatibility = Compatibility(table, vocabulary)
    generator = np.random.default_rng(seed)
    weights = table.weights if rules.strategy is SamplingStrategy.BALANCED else table.counts
    drawer = _Drawer(table, weights.astype(np.float64), demand, supply, compatibility, generator)
    try:
        clinical_NK, num_present_N = drawer.clinical(rules.present_share)
        anatomy_NM = drawer.anatomy(clinical_NK, num_present_N)
    except Undealable as error:
        raise ValueError(
            f"sampling: {num_candidates} candidates cannot be drawn without contradiction, "
            f"{error.num_left} entities are left over; raise max_uses ({rules.max_uses}), lower "
            f"clinical_per_report ({rules.clinical_per_report}) or use a larger table"
        ) from error
    place_NK = place_findings(clinical_NK, num_present_N, anatomy_NM, compatibility.may_be_placed)
    uncertain_NK, severity_NK = _statements(
        clinical_NK, num_present_N, rules, compatibility, generator
    )
    return EntityDraw(
        table, clinical_NK, num_present_N, anatomy_NM, place_NK, uncertain_NK, severity_NK
    )


@dataclass(frozen=True)
class _Drawer:
    """The steps of one draw, in order; all take their randomness from one generator."""

    table: EntityTable
    weights: NDArray[np.float64]
    demand: Demand
    supply: Supply
    compatibility: Compatibility
    generator: np.random.Generator

    def clinical(self, present_share: float | None) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        """Clinical entities without contradictions, and how many of each row are present."""
        if present_share is None:
            present_share = self._natural_share()
        num_present_N = draw_num_present(self.demand, self.supply, present_share, self.generator)
        columns = np.arange(self.demand.clinical_per_report)
        pools_NK = np.where(columns < num_present_N[:, None], _PRESENT, _DENIED).astype(np.int8)
        clinical_NK = np.empty(pools_NK.shape, np.int32)
        pools = (self.table.present, self.table.denied)  # at _PRESENT and _DENIED
        for pool, entities in enumerate(pools):
            clinical_NK[pools_NK == pool] = self._deck(entities, int((pools_NK == pool).sum()))
        conflicts = self.compatibility.conflicts
        mend(clinical_NK, pools_NK, pools, self.supply.cap, conflicts, self.generator)
        return clinical_NK, num_present_N

    def anatomy(
        self, clinical_NK: NDArray[np.int32], num_present_N: NDArray[np.int8]
    ) -> NDArray[np.int32]:
        """Anatomy entities, each once in a row, where findings of the row can be placed."""
        shape = (self.demand.num_candidates, self.demand.anatomy_per_report)
        anatomy_NM = self._deck(self.table.anatomy, shape[0] * shape[1]).reshape(shape)
        conflicts = self.compatibility.conflicts
        pools = (self.table.anatomy,)
        one_pool = np.zeros(shape, np.int8)
        mend(anatomy_NM, one_pool, pools, self.supply.cap, conflicts, self.generator)
        may_be_placed = self.compatibility.may_be_placed
        improve_places(
            clinical_NK, num_present_N, anatomy_NM, may_be_placed, conflicts, self.generator
        )
        return anatomy_NM

    def _deck(self, entities: NDArray[np.intp], total: int) -> NDArray[np.int32]:
        caps = np.full(len(entities), self.supply.cap)
        uses = draw_uses(self.weights[entities], caps, total, self.generator)
        return deal(uses, entities, self.generator)

    def _natural_share(self) -> float:
        """Share of present ones when clinical entities are drawn regardless of their kind."""
        present = self.weights[self.table.present].sum()
        return float(present / (present + self.weights[self.table.denied].sum()))


def _statements(
    clinical_NK: NDArray[np.int32],
    num_present_N: NDArray[np.int8],
    rules: SamplingRules,
    compatibility: Compatibility,
    generator: np.random.Generator,
) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    """Which findings are uncertain, and the severity of which certain ones is stated."""
    shape = clinical_NK.shape
    present = np.arange(shape[1]) < num_present_N[:, None]
    uncertain = present & (generator.random(shape, np.float32) < rules.uncertain_share)
    graded = present & ~uncertain & compatibility.is_gradable(clinical_NK)
    graded &= generator.random(shape, np.float32) < rules.severity_share
    severity = generator.integers(len(SEVERITIES), size=shape, dtype=np.int8)
    return uncertain, np.where(graded, severity, np.int8(NO_SEVERITY))
