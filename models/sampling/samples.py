"""From drawn entities to the records that every later stage works on."""

from collections.abc import Callable, Iterator

from models.sampling.patients import PatientMix, position
from models.sampling.sampler import EntityDraw
from storage.records import Sample, Split

DEFAULT_FRACTIONS = (0.70, 0.15, 0.15)  # train, validation, test; as for corpora


def plan_samples(
    draw: EntityDraw,
    sample_id: Callable[[int], str],
    unit_of: Callable[[int], int],
    patients: PatientMix,
    fractions: tuple[float, float, float] = DEFAULT_FRACTIONS,
) -> Iterator[Sample]:
    """The samples of a plan, in index order.

    Args:
        draw: Entities of every candidate.
        sample_id: Id of an index (`storage.identity.sample_id` under the plan's fingerprint).
        unit_of: Unit of an index.
        patients: Views, sexes and ages.
        fractions: Shares of train, validation and test samples; they add to 1.

    Raises:
        ValueError: If the fractions do not add to 1; at the call, before the first sample.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(
            "split fractions must be at least 0 and add to 1 (train, validation, test); "
            f"got {fractions!r}; try {DEFAULT_FRACTIONS}"
        )
    return (
        _sample(draw, index, sample_id(index), unit_of(index), patients, fractions)
        for index in range(len(draw))
    )


def split_of(sample_id: str, fractions: tuple[float, float, float]) -> Split:
    """The split that a sample's id hashes to, whatever else is in the dataset."""
    place = position(sample_id, "split")
    if place < fractions[0]:
        return Split.TRAIN
    return Split.VALIDATION if place < fractions[0] + fractions[1] else Split.TEST


def _sample(
    draw: EntityDraw,
    index: int,
    sample_id: str,
    unit: int,
    patients: PatientMix,
    fractions: tuple[float, float, float],
) -> Sample:
    view, sex, age_years = patients.describe(sample_id)
    return Sample(
        index=index,
        sample_id=sample_id,
        unit=unit,
        split=split_of(sample_id, fractions),
        entities=draw.entities(index),
        view=view,
        sex=sex,
        age_years=age_years,
    )
