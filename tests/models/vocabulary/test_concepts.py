import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from models.vocabulary.anatomy import Side
from models.vocabulary.concepts import Concept, Vocabulary, load_vocabulary
from models.vocabulary.findings import Finding
from models.vocabulary.modifiers import load_modifiers
from storage.records import EntityKind

VOCABULARY = load_vocabulary()

PADCHEST_LABELS = {
    "atelectasis": Finding.ATELECTASIS,
    "laminar atelectasis": Finding.ATELECTASIS,
    "lobar atelectasis": Finding.ATELECTASIS,
    "consolidation": Finding.CONSOLIDATION,
    "pulmonary edema": Finding.EDEMA,
    "pleural effusion": Finding.EFFUSION,
    "emphysema": Finding.EMPHYSEMA,
    "pulmonary fibrosis": Finding.FIBROSIS,
    "infiltrates": Finding.INFILTRATION,
    "pulmonary mass": Finding.MASS,
    "nodule": Finding.NODULE,
    "pleural thickening": Finding.PLEURAL_THICKENING,
    "apical pleural thickening": Finding.PLEURAL_THICKENING,
    "pneumonia": Finding.PNEUMONIA,
    "pneumothorax": Finding.PNEUMOTHORAX,
}
PADCHEST_LOCATIONS = {
    "loc pleural": "pleural space",
    "loc costophrenic angle": "costophrenic angle",
    "loc basal": "lung base",
    "loc basal bilateral": "lung base",
    "loc apical": "lung apex",
    "loc upper lobe": "upper lobe",
    "loc right upper lobe": "upper lobe",
    "loc left upper lobe": "upper lobe",
    "loc lower lobe": "lower lobe",
    "loc right lower lobe": "lower lobe",
    "loc left lower lobe": "lower lobe",
    "loc middle lobe": "right middle lobe",
    "loc lingula": "lingula",
    "loc perihilar": "perihilar region",
    "loc retrocardiac": "retrocardiac region",
    "loc upper lung field": "lung zone",
    "loc middle lung field": "lung zone",
    "loc lower lung field": "lung zone",
    "loc lung field": "lung",
    "loc bilateral": "lung",
    "loc diffuse bilateral": "lung",
}


def test_vocabulary_has_every_finding_under_its_term() -> None:
    for finding in Finding:
        assert VOCABULARY.of_finding(finding).finding is finding


def test_vocabulary_size_covers_real_reports() -> None:
    assert len(VOCABULARY.clinical()) >= 100
    assert len(VOCABULARY.anatomies()) >= 60


def test_concepts_kinds_are_never_negated() -> None:
    assert not any(concept.kind.is_negated for concept in VOCABULARY.concepts.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pleural  EFFUSIONS", "pleural effusion"),
        ("COPD", "chronic obstructive pulmonary disease"),
        ("bibasilar", "lung bases"),
        ("left basilar", "left lung base"),
        ("LUL", "left upper lobe"),
        ("nodules", "lung nodule"),
        ("enlarged heart", "cardiomegaly"),
    ],
)
def test_lookup_synonym_finds_canonical_term(text: str, expected: str) -> None:
    concept = VOCABULARY.lookup(text)
    assert concept is not None
    assert concept.text == expected


def test_lookup_unknown_term_is_none() -> None:
    assert VOCABULARY.lookup("left lower lobe pneumothorax sign of something") is None


def test_lookup_every_canonical_term_finds_itself() -> None:
    for text, concept in VOCABULARY.concepts.items():
        assert VOCABULARY.lookup(text) is concept


def test_excludes_relation_is_symmetric() -> None:
    concepts = VOCABULARY.concepts
    pairs = {(c.text, other) for c in concepts.values() for other in c.excludes}
    assert pairs
    assert pairs == {(other, text) for text, other in pairs}


def test_anatomies_are_anatomy_terms() -> None:
    for concept in VOCABULARY.clinical():
        for place in concept.anatomies:
            assert VOCABULARY.concepts[place].kind is EntityKind.ANATOMY


def test_denials_state_absence_of_clinical_terms() -> None:
    assert VOCABULARY.denials["normal heart size"] == "cardiomegaly"
    assert all(VOCABULARY.concepts[text].kind.is_clinical for text in VOCABULARY.denials.values())


@pytest.mark.parametrize(
    ("term", "side", "expected"),
    [
        ("pleural effusion", Side.LEFT, "left pleural space"),
        ("pleural effusion", Side.BOTH, "pleural spaces"),
        ("lung nodule", Side.RIGHT, "right lung"),
        ("cardiomegaly", Side.LEFT, None),
        ("pleural effusion", None, None),
    ],
)
def test_default_place_of_side_is_the_broadest(
    term: str, side: Side | None, expected: str | None
) -> None:
    assert VOCABULARY.default_place(VOCABULARY.concepts[term], side) == expected


def test_canonical_terms_compare_with_no_other_time() -> None:
    for text in VOCABULARY.concepts:
        assert load_modifiers().comparison_word(text) is None


def test_vocabulary_form_claimed_twice_is_refused() -> None:
    twice = {
        text: Concept(text, EntityKind.ABNORMALITY, synonyms=("spot",))
        for text in ("nodule", "mass")
    }
    with pytest.raises(ValueError, match="'spot' is claimed by 'nodule' and 'mass'"):
        Vocabulary(twice, {}, "").forms()


def test_finding_places_are_witnessed_in_padchest(shared_data: Path) -> None:
    """Every place a finding may have was written of it, and its commonest one is among them."""
    witnessed: dict[Finding, Counter[str]] = defaultdict(Counter)
    path = shared_data / "vocab" / "padchest_label_location_pairs.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            finding = PADCHEST_LABELS.get(row["label"])
            place = PADCHEST_LOCATIONS.get(row["location"])
            if finding is not None and place is not None:
                witnessed[finding][place] += int(row["count"])
    assert witnessed.keys() == {f for f in Finding if VOCABULARY.of_finding(f).anatomies}
    for finding, counts in witnessed.items():
        ours = _families(VOCABULARY.of_finding(finding))
        assert ours <= counts.keys(), f"{finding}: {ours - counts.keys()} never seen"
        assert counts.most_common(1)[0][0] in ours, f"{finding}: {counts.most_common(3)}"


def _families(concept: Concept) -> set[str]:
    places = (VOCABULARY.concepts[text] for text in concept.anatomies)
    families = {place.family or place.text for place in places}
    return {"lung zone" if family.endswith("lung zone") else family for family in families}
