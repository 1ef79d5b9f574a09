"""From drawn entities to the columns of samples that every later stage works on.

A range of indices at a time: a million samples are some 16 million entities, which as objects
would take gigabytes. Shapes: N samples of the range, K clinical and M anatomy entities in each.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.sampling.entity_table import KINDS
from models.sampling.patients import PatientMix, position
from models.sampling.placing import NOWHERE
from models.sampling.sampler import NO_SEVERITY, SEVERITIES, EntityDraw
from storage.records import EntityStatus, Split

DEFAULT_FRACTIONS = (0.70, 0.15, 0.15)  # train, validation, test; as for corpora
STATUSES = tuple(EntityStatus)
_PRESENT = STATUSES.index(EntityStatus.PRESENT)
_ABSENT = STATUSES.index(EntityStatus.ABSENT)
_UNCERTAIN = STATUSES.index(EntityStatus.UNCERTAIN)


class PlannedSamples:
    """What the candidates of a plan are asked to show, as Arrow columns.

    Args:
        draw: Entities of every candidate.
        patients: Views, sexes and ages.
        fractions: Shares of train, validation and test samples; they add to 1.

    Raises:
        ValueError: If the fractions do not add to 1.
    """

    def __init__(
        self,
        draw: EntityDraw,
        patients: PatientMix,
        fractions: tuple[float, float, float] = DEFAULT_FRACTIONS,
    ) -> None:
        if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
            raise ValueError(
                "split fractions must be at least 0 and add to 1 (train, validation, test); "
                f"got {fractions!r}; try {DEFAULT_FRACTIONS}"
            )
        self._draw = draw
        self._patients = patients
        self._fractions = fractions

    def columns(
        self, indices: range, sample_ids: Sequence[str], entities: pa.ListType
    ) -> dict[str, pa.Array]:
        """Split, requested entities, view, sex and age in years of a range of samples, by name.

        Args:
            indices: Without gaps.
            sample_ids: The id of each.
            entities: The type of the column of entities.
        """
        described = [self._patients.describe(sample_id) for sample_id in sample_ids]
        views, sexes, ages = zip(*described, strict=True)
        splits = [split_of(sample_id, self._fractions) for sample_id in sample_ids]
        return {
            "split": pa.array(splits, pa.string()),
            "entities_requested": self._entities(slice(indices.start, indices.stop), entities),
            "view": pa.array(views, pa.string()),
            "sex": pa.array(sexes, pa.string()),
            "age_years": pa.array(ages, pa.int64()),
        }

    @cached_property
    def _texts(self) -> pa.Array:
        return pa.array(self._draw.table.texts, pa.string())

    def _entities(self, rows: slice, column: pa.ListType) -> pa.ListArray:
        """The entities of each sample: present, denied, then anatomy that no finding is in."""
        table, place_NK = self._draw.table, self._draw.place_NK[rows]
        clinical_NK, anatomy_NM = self._draw.clinical_NK[rows], self._draw.anatomy_NM[rows]
        entity = np.concatenate([clinical_NK, anatomy_NM], axis=1)
        stands = np.concatenate([np.ones_like(place_NK, bool), _is_free(anatomy_NM, place_NK)], 1)
        denied = table.is_negated[entity]

        def said(of_clinical: NDArray[Any], nothing: int) -> NDArray[Any]:
            """What is said of findings alone, for every entity that stands."""
            everywhere = np.full(entity.shape, nothing, of_clinical.dtype)
            everywhere[:, : of_clinical.shape[1]] = of_clinical
            everywhere[denied] = nothing
            standing: NDArray[Any] = everywhere[stands]
            return standing

        uncertain = said(self._draw.uncertain_NK[rows], nothing=False)
        status = np.where(uncertain, _UNCERTAIN, _PRESENT)
        status[denied[stands]] = _ABSENT
        fields = {
            "text": self._texts.take(pa.array(entity[stands])),
            "kind": _name(table.kinds[entity[stands]], KINDS),
            "status": _name(status, STATUSES),
            "anatomy": _take(self._texts, said(_place_of(anatomy_NM, place_NK), NOWHERE)),
            "severity": _name(said(self._draw.severity_NK[rows], NO_SEVERITY), SEVERITIES),
        }
        item = list(column.value_type)
        structs = pa.StructArray.from_arrays([fields[one.name] for one in item], fields=item)
        offsets = np.append(0, np.cumsum(stands.sum(axis=1))).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), structs, type=column)


def split_of(sample_id: str, fractions: tuple[float, float, float]) -> Split:
    """The split that a sample's id hashes to, whatever else is in the dataset."""
    place = position(sample_id, "split")
    if place < fractions[0]:
        return Split.TRAIN
    return Split.VALIDATION if place < fractions[0] + fractions[1] else Split.TEST


def _is_free(anatomy_NM: NDArray[np.int32], place_NK: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether no finding of its sample is in an anatomy, (N, M)."""
    free = np.ones_like(anatomy_NM, bool)
    samples, findings = np.nonzero(place_NK != NOWHERE)
    free[samples, place_NK[samples, findings]] = False
    return free


def _place_of(anatomy_NM: NDArray[np.int32], place_NK: NDArray[np.int8]) -> NDArray[np.int32]:
    """The anatomy that each finding is in, as table index; -1 for none, (N, K)."""
    place = np.full(place_NK.shape, NOWHERE, np.int32)
    samples, findings = np.nonzero(place_NK != NOWHERE)
    place[samples, findings] = anatomy_NM[samples, place_NK[samples, findings]]
    return place


def _name(codes: NDArray[Any], members: Sequence[StrEnum]) -> pa.Array:
    """The name of each position in an enumeration; null for -1."""
    return _take(pa.array([str(member) for member in members]), codes)


def _take(values: pa.Array, positions: NDArray[Any]) -> pa.Array:
    """The value at each position; null for -1."""
    return values.take(pa.array(positions, mask=positions < 0))
