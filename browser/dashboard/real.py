"""What a corpus of real data speaks of, to hold a release against."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.compute as pc

from browser.entity_columns import finding_of
from browser.facets import entity_value
from browser.library import Library
from browser.problems import not_found
from models.vocabulary.findings import Finding
from storage.corpora import Corpus, corpus_info, entity_table_key, open_table, read_corpus
from storage.errors import FactoryError, ObjectMissing
from storage.layout import corpus_table
from storage.plan_lock import read_plan
from storage.tables import lance_errors

_TABLE, _ENTITIES = ".lance", ".entities.lance"


@dataclass(frozen=True, slots=True)
class RealCounts:
    """How often a corpus has each entity and finding.

    Attributes:
        entities: Mentions by "kind:text"; empty where its reports were not tagged.
        findings: Images with each label; where there are none, mentions in its reports.
    """

    corpus: str
    entities: dict[str, int]
    findings: dict[str, int]


def comparable_corpora(library: Library) -> list[str]:
    """Corpora under the root that may be shown and say what they show."""
    names = [key.removesuffix(_TABLE) for key in library.store.folders("corpora") if _is_one(key)]
    return [name for name in names if _tells(library, name)]


def named_corpus(library: Library, dataset: str) -> str | None:
    """The corpus whose entities or reports a dataset's plan takes; None where it takes none."""
    try:
        plan = read_plan(library.store, library.layout(dataset)).get("plan", {})
    except ObjectMissing:
        return None
    named = (plan.get(part, {}).get("corpus") for part in ("writer", "entities"))
    return next((str(name) for name in named if name), None)


def real_counts(library: Library, corpus: str) -> RealCounts:
    """The counts of a corpus that may be shown.

    Raises:
        Problem: If there is none of this name, or it is restricted and this serves beyond loopback.
    """
    try:
        found = read_corpus(library.store, corpus)
    except ValueError as error:
        raise not_found(f"There is no corpus {corpus[:100]!r}.", "See the corpora.") from error
    library.require_corpus(corpus)
    entities = _entities(library, found)
    labels = _labels(library, corpus) if found.has_images else Counter[str]()
    return RealCounts(corpus, entities, dict(labels or _findings(entities)))


def _is_one(key: str) -> bool:
    return key.endswith(_TABLE) and not key.endswith(_ENTITIES)


def _tells(library: Library, name: str) -> bool:
    try:
        info = corpus_info(library.store, name)
        tagged = open_table(library.store, entity_table_key(name)) is not None
        return (
            info is not None
            and library.settings.may_show(name, restricted=info.restricted)
            and (tagged or read_corpus(library.store, name).has_images)
        )
    except (FactoryError, ValueError):  # the page of corpora says what is wrong with it
        return False


def _entities(library: Library, corpus: Corpus) -> dict[str, int]:
    if open_table(library.store, entity_table_key(corpus.name)) is None:
        return {}
    return {
        entity_value(str(kind), text): num_mentions
        for text, kind, num_mentions in corpus.entity_counts()
    }


def _findings(entities: dict[str, int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for value, num_mentions in entities.items():
        kind, _, text = value.partition(":")
        if finding := finding_of(kind, text):
            counts[finding] += num_mentions
    return counts


def _labels(library: Library, corpus: str) -> Counter[str]:
    known = {str(finding) for finding in Finding}
    return Counter(
        {label: count for label, count in _label_counts(library, corpus) if label in known}
    )


def _label_counts(library: Library, corpus: str) -> Iterator[tuple[str, int]]:
    dataset = open_table(library.store, corpus_table(corpus))
    assert dataset is not None, corpus
    with lance_errors(dataset.uri):
        labels = dataset.to_table(columns=["labels"])["labels"]
    for one in pc.list_flatten(labels).value_counts().to_pylist():
        yield one["values"], one["counts"]
