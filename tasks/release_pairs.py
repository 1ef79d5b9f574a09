"""A release's pairs as a source to train on."""

from collections import Counter
from dataclasses import dataclass
from functools import partial

from models.vocabulary.findings import Finding
from storage.choice import choose, release_of
from storage.layout import DatasetLayout, Table
from storage.objects import ObjectStore, storage_options_of
from storage.records import Entity, Split
from storage.releases import Release, open_table
from storage.review_rules import ReviewRules
from storage.schemas import decode_rows
from storage.tables import lance_errors
from tasks.training_sources import ReadSource, count_findings, drawn, no_texts


@dataclass(frozen=True, slots=True)
class ReleasePairs:
    """Which; fields as of `flows.training_data_plans.ReleaseSource`. A `TrainingSource`."""

    dataset: str
    release: int | None
    slice_name: str | None
    reviews: ReviewRules
    max_pairs: int | None
    draw_seed: int

    def release_number(self, store: ObjectStore, /) -> int:
        """Of the release it means now."""
        return self._release(store).number

    def read(self, store: ObjectStore, /) -> ReadSource:
        """Its reports, in the order of the release's index."""
        from models.vlp.data import PairSource, read_texts  # imports torch
        from models.vlp.training_pairs import MixedSource

        layout = DatasetLayout(self.dataset)
        choice = choose(store, layout, self.release, self.slice_name, self.reviews)
        release = choice.release
        pairs = PairSource(
            uri=store.uri(layout.table(Table.PAIRS)),
            version=release.versions[Table.PAIRS],
            storage_options=partial(storage_options_of, store.root),
        )
        of_split = _ids_by_split(store, release, choice.sample_ids)
        held_out, taken = of_split[Split.VALIDATION], choice.sample_ids
        if self.max_pairs is not None:
            ids = of_split[Split.TRAIN]
            taken = frozenset(drawn(ids, ids, self.max_pairs, self.draw_seed))
        source = MixedSource(
            name=release.release_id,
            pairs=pairs,
            train=read_texts(pairs, Split.TRAIN, taken),
            validation=(
                read_texts(pairs, Split.VALIDATION, choice.sample_ids) if held_out else no_texts()
            ),
        )
        described = {
            "kind": "release",
            "release": release.release_id,
            "choice": choice.described,
            "restricted": release.restricted,
            "max_pairs": self.max_pairs,
            "draw_seed": self.draw_seed,
            "num_pairs": len(source.train),
            "num_validation_pairs": len(source.validation),
        }
        return ReadSource(source, release.restricted, described)

    def findings(self, store: ObjectStore, read: ReadSource, /) -> Counter[Finding]:
        """By the entities that the plan's tagger found in each report."""
        pairs = open_table(store, self._release(store), Table.PAIRS)
        rows = read.source.train.rows.tolist()
        with lance_errors(pairs.uri):
            found = pairs.take(rows, columns=["entities_found"])["entities_found"].to_pylist()
        return count_findings(decode_rows(entities, Entity) for entities in found)

    def _release(self, store: ObjectStore) -> Release:
        return release_of(store, DatasetLayout(self.dataset), self.release, self.slice_name)


def _ids_by_split(
    store: ObjectStore, release: Release, among: frozenset[str] | None
) -> dict[Split, list[str]]:
    """Ids of a release's samples, or of those among some."""
    pairs = open_table(store, release, Table.PAIRS)
    with lance_errors(pairs.uri):
        rows = pairs.to_table(columns=["sample_id", "split"]).to_pylist()
    ids: dict[Split, list[str]] = {split: [] for split in Split}
    for row in rows:
        if among is None or row["sample_id"] in among:
            ids[Split(row["split"])].append(row["sample_id"])
    return ids
