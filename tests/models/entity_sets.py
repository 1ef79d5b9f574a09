"""Entity sets that a plan may ask of a writer, for hypothesis."""

from hypothesis import strategies as st

from models.vocabulary.concepts import Concept, load_vocabulary
from storage.records import Entity, EntityKind, EntityStatus, Severity

NEGATED = {
    EntityKind.ABNORMALITY: EntityKind.NON_ABNORMALITY,
    EntityKind.DISEASE: EntityKind.NON_DISEASE,
}


def of_concept(concept: Concept) -> st.SearchStrategy[Entity]:
    """Any entity of a concept: each status, place and severity it may have."""
    if not concept.kind.is_clinical:
        return st.just(Entity(concept.text, concept.kind, EntityStatus.PRESENT))
    places = st.sampled_from([None, *concept.anatomies])
    said = st.builds(
        Entity,
        text=st.just(concept.text),
        kind=st.just(concept.kind),
        status=st.sampled_from([EntityStatus.PRESENT, EntityStatus.UNCERTAIN]),
        anatomy=places,
        severity=st.sampled_from([None, *Severity] if concept.gradable else [None]),
    )
    absent = st.builds(
        Entity,
        text=st.just(concept.text),
        kind=st.just(NEGATED[concept.kind]),
        status=st.just(EntityStatus.ABSENT),
        anatomy=places,
    )
    return st.one_of(said, absent)


def entity_sets(max_size: int = 12) -> st.SearchStrategy[tuple[Entity, ...]]:
    """Any set of entities of different terms, the empty one included."""
    concepts = st.lists(
        st.sampled_from(list(load_vocabulary().concepts.values())),
        max_size=max_size,
        unique_by=lambda concept: concept.text,
    )
    return concepts.flatmap(lambda chosen: st.tuples(*map(of_concept, chosen)))
