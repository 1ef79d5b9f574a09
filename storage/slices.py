"""Slices: a filter over a release's pairs, saved under a name; it means the same pairs for ever."""

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from storage.errors import DamagedObject, ObjectMissing, PlanMismatch
from storage.identity import canonical_json
from storage.json_files import parse_json
from storage.layout import DatasetLayout
from storage.objects import ObjectStore
from storage.plan_lock import differences
from storage.records import EntityKind, EntityStatus, Sex, Split, View
from storage.review_rules import ReviewStatus

Text = Annotated[str, Field(min_length=1, max_length=200)]
_WORD = re.compile(r"[^\W_]+")


class _Filled(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EntityFilter(_Filled):
    """An entity that a report states."""

    text: Text = Field(description="Canonical term, as in pleural effusion.")
    kind: EntityKind | None = Field(None, description="None: any.")
    status: EntityStatus | None = Field(None, description="None: any.")


class ScoreFilter(_Filled):
    """A gate's score within bounds, both included; a pair without this score is left out."""

    gate: Text = Field(description="As in technical.")
    measure: Text = Field(description="As in border_fraction.")
    at_least: float | None = Field(None, allow_inf_nan=False, description="None: no bound.")
    at_most: float | None = Field(None, allow_inf_nan=False, description="None: no bound.")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "ScoreFilter":
        _require_order(f"score {self.gate}/{self.measure}", self.at_least, self.at_most)
        return self


class SliceFilter(_Filled):
    """Which pairs of a release are meant. Every field that is set must hold; none set means all.

    Of a field with several values a pair needs one, except entities, groups of them, findings and
    scores, of which it needs all. What a pair does not state (an age, a sex) is outside every
    bound on it.
    """

    entities: tuple[EntityFilter, ...] = Field(
        (), max_length=50, description="Stated, all of them."
    )
    entity_groups: tuple[tuple[EntityFilter, ...], ...] = Field(
        (), max_length=50, description="Of every group one is stated at least."
    )
    findings: tuple[Text, ...] = Field(
        (), max_length=50, description="Canonical terms, stated as present, all of them."
    )
    views: tuple[View, ...] = Field((), description="Projections.")
    sexes: tuple[Sex, ...] = Field((), description="Sexes of the patients.")
    min_age_years: int | None = Field(None, ge=0, le=150, description="None: no bound.")
    max_age_years: int | None = Field(None, ge=0, le=150, description="None: no bound.")
    splits: tuple[Split, ...] = Field((), description="Splits.")
    min_unit: int | None = Field(None, ge=0, description="First unit. None: no bound.")
    max_unit: int | None = Field(None, ge=0, description="Last unit. None: no bound.")
    writers: tuple[Text, ...] = Field((), max_length=50, description="Kinds of the writers.")
    painters: tuple[Text, ...] = Field((), max_length=50, description="Kinds of the painters.")
    scores: tuple[ScoreFilter, ...] = Field((), max_length=50, description="Of gates, all of them.")
    words: str = Field(
        "",
        max_length=200,
        description="Whole words that findings or impression have, all of them, in any case.",
    )
    reviews: tuple[ReviewStatus, ...] = Field(
        (), description="What reviewers say, where one rejection rejects."
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "SliceFilter":
        _require_order("age_years", self.min_age_years, self.max_age_years)
        _require_order("unit", self.min_unit, self.max_unit)
        if not all(self.entity_groups):
            raise ValueError("a group of entities must name one at least, got none; remove it")
        if self.words.strip() and not words_of(self.words):
            raise ValueError(f"words must have a letter or digit, got {self.words!r}; remove it")
        return self


class Slice(_Filled):
    """What lies under a slice's name."""

    release: int = Field(ge=1, description="Number of the release whose pairs are meant.")
    filter: SliceFilter = Field(description="Which of them.")


def words_of(text: str) -> frozenset[str]:
    """The whole words of a text, in lower case: runs of letters and digits."""
    return frozenset(_WORD.findall(text.lower()))


def save_slice(store: ObjectStore, layout: DatasetLayout, name: str, wanted: Slice) -> None:
    """Put a slice under its name; the same again changes nothing.

    Raises:
        PlanMismatch: If the name means something else already; says what differs.
        ValueError: If the name cannot be one.
    """
    content = wanted.model_dump(mode="json", exclude_defaults=True)
    if store.put_if_absent(layout.slice(name), json.dumps(content, indent=2).encode()):
        return
    stands = read_slice(store, layout, name).model_dump(mode="json")
    differing = list(differences(stands, wanted.model_dump(mode="json")))
    if differing:
        raise PlanMismatch(
            f"slice {name!r} of dataset {layout.name!r} must keep its meaning, "
            f"differs in: {'; '.join(differing)}; choose another name"
        )


def read_slice(store: ObjectStore, layout: DatasetLayout, name: str) -> Slice:
    """The slice of this name.

    Raises:
        ObjectMissing: If there is none; says which there are.
        DamagedObject: If what lies there is none.
    """
    key = layout.slice(name)
    try:
        data = store.get(key)
    except ObjectMissing as error:
        known = ", ".join(slice_names(store, layout)) or "none yet"
        raise ObjectMissing(
            f"no slice {name!r} of dataset {layout.name!r} in {store.root}, it has: {known}"
        ) from error
    try:
        return Slice.model_validate(parse_json(data, store.uri(key)))
    except ValidationError as error:
        reason = " ".join(str(error).split())
        raise DamagedObject(f"{store.uri(key)}: expected a slice, got: {reason}") from error


def slice_names(store: ObjectStore, layout: DatasetLayout) -> list[str]:
    """Names of a dataset's slices, in order."""
    keys = (
        info.key.removeprefix(layout.slices_folder) for info in store.list(layout.slices_folder)
    )
    return [key.removesuffix(".json") for key in keys if key.endswith(".json")]


def slice_content(wanted: Slice) -> bytes:
    """The one byte form of a slice, to be hashed."""
    return canonical_json(wanted.model_dump(mode="json"))


def _require_order(what: str, low: Any, high: Any) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"{what} must go from low to high, got {low} to {high}; exchange them")
