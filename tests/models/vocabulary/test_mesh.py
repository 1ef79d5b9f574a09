import csv
from pathlib import Path

import pytest

from models.vocabulary.mesh import load_mesh_map
from storage.records import Entity, EntityKind, EntityStatus, Severity

ABNORMALITY, PRESENT = EntityKind.ABNORMALITY, EntityStatus.PRESENT
MESH = load_mesh_map()


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (
            "Opacity/lung/base/left/mild",
            Entity("lung opacity", ABNORMALITY, PRESENT, "left lung base", Severity.MILD),
        ),
        (
            "Pleural Effusion/bilateral/small",
            Entity("pleural effusion", ABNORMALITY, PRESENT, "pleural spaces", Severity.MILD),
        ),
        ("Cardiomegaly/borderline", Entity("cardiomegaly", ABNORMALITY, EntityStatus.UNCERTAIN)),
        ("Lung/hypoinflation", Entity("low lung volumes", ABNORMALITY, PRESENT)),
        ("Granuloma/left", Entity("granuloma", ABNORMALITY, PRESENT, "left lung")),
        (
            "Pneumonia/middle lobe/right",
            Entity("pneumonia", EntityKind.DISEASE, PRESENT, "right middle lobe"),
        ),
        ("Mediastinum", Entity("mediastinum", EntityKind.ANATOMY, PRESENT)),
        ("Technical Quality of Image Unsatisfactory ", None),
    ],
)
def test_entity_of_term_takes_place_severity_and_doubt(term: str, expected: Entity | None) -> None:
    assert MESH.entity(term) == expected


def test_entity_of_unknown_heading_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a MeSH heading of mesh\.yaml, got 'unicorn'"):
        MESH.entity("Unicorn/left")


def test_headings_are_concept_or_ignored_with_reason() -> None:
    for heading in MESH.headings.values():
        assert (heading.concept is None) == (heading.ignored is not None)


def test_headings_of_openi_are_all_mapped(shared_data: Path) -> None:
    path = shared_data / "vocab" / "openi_mesh_headings.csv"
    with path.open(encoding="utf-8", newline="") as file:
        headings = [row["mesh_heading"] for row in csv.DictReader(file)]
    assert len(headings) > 100
    for heading in headings:
        MESH.heading(heading)
