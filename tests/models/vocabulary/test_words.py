import pytest

from models.vocabulary.words import american, normalise, plural


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Pleural   Effusion ", "pleural effusion"),
        ("right-sided aortic arch", "right sided aortic arch"),
        ("atelectasis/infiltrate", "atelectasis infiltrate"),
    ],
)
def test_normalise_spelling_variants_become_one(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("lung opacity", "lung opacities"),
        ("rib fracture", "rib fractures"),
        ("lung mass", "lung masses"),
        ("lung bulla", "lung bullae"),
        ("pneumothorax", "pneumothoraces"),
        ("cardiomegaly", None),
        ("atelectasis", None),
        ("surgical clips", None),
    ],
)
def test_plural_of_term_follows_english(term: str, expected: str | None) -> None:
    assert plural(term) == expected


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("pulmonary oedema", "pulmonary edema"),
        ("haemothorax", "hemothorax"),
        ("localised tumours", "localized tumors"),
        ("paralysed hemidiaphragm", "paralyzed hemidiaphragm"),
        ("pleural effusion", "pleural effusion"),
    ],
)
def test_american_spelling_of_british_terms(term: str, expected: str) -> None:
    assert american(term) == expected
