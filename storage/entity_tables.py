"""What the reports of a corpus speak of: one small Lance table beside the corpus.

Each entity with how often it is mentioned and the strings it stands for; the schema's metadata say
which tagger found them. `Corpus.entity_counts` reads it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

import lance
import pyarrow as pa

from storage.corpora import entity_table_key, open_table, read_corpus
from storage.corpus_info import METADATA_KEY
from storage.objects import ObjectStore
from storage.records import EntityKind, Split
from storage.tables import lance_errors

_NO_VARIANTS: Mapping[tuple[str, EntityKind], tuple[str, ...]] = MappingProxyType({})
_SCHEMA = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("variants", pa.list_(pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class EntitySource:
    """Who found the entities of a corpus.

    Attributes:
        tagger: Kind of the engine.
        tagger_revision: Of the engine and of the rules by which its strings were merged.
        split: The split whose reports were read; None for all.
    """

    tagger: str
    tagger_revision: str
    split: Split | None


def write_entity_table(
    store: ObjectStore,
    name: str,
    rows: Iterable[tuple[str, EntityKind, int]],
    source: EntitySource,
    variants: Mapping[tuple[str, EntityKind], tuple[str, ...]] = _NO_VARIANTS,
) -> int:
    """Store what a tagger found in a corpus; the same rows again change nothing.

    Args:
        store: The root.
        name: Of the corpus, which must exist.
        rows: (text, kind, count); entities with equal text and kind are added up.
        source: Who found them.
        variants: Strings that an entity stands for, most frequent first, where more than one.

    Returns:
        The version of the table.

    Raises:
        ValueError: If there is no such corpus or not one entity.
    """
    read_corpus(store, name)
    counts: dict[tuple[str, EntityKind], int] = {}
    for text, kind, count in rows:
        counts[text, kind] = counts.get((text, kind), 0) + count
    if not counts:
        raise ValueError(f"corpus {name!r}: expected at least one entity for its table, got none")
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], *entry[0]))
    table = pa.table(
        [
            [text for (text, _), _ in ordered],
            [kind.value for (_, kind), _ in ordered],
            [count for _, count in ordered],
            [list(variants.get(key, ())) for key, _ in ordered],
        ],
        schema=_SCHEMA.with_metadata({METADATA_KEY: json.dumps(asdict(source))}),
    )
    key = entity_table_key(name)
    found = open_table(store, key)
    if found is not None and found.to_table().equals(table, check_metadata=True):
        return int(found.version)
    mode = "create" if found is None else "overwrite"
    with lance_errors(store.uri(key)):
        written = lance.write_dataset(
            table, store.uri(key), mode=mode, storage_options=store.storage_options
        )
    return int(written.version)


def read_entity_source(store: ObjectStore, name: str) -> EntitySource | None:
    """Who found a corpus's entities; None when it has no entity table, or one that does not say."""
    found = open_table(store, entity_table_key(name))
    stored = None if found is None else (found.schema.metadata or {}).get(METADATA_KEY)
    if stored is None:
        return None
    fields = json.loads(stored)
    split = fields.get("split")
    return EntitySource(
        tagger=fields.get("tagger", ""),
        tagger_revision=fields["tagger_revision"],
        split=None if split is None else Split(split),
    )
