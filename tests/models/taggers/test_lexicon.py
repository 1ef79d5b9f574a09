import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engines import engine_config
from models.taggers.configs import LexiconConfig
from models.taggers.lexicon import LexiconTagger
from storage.records import Entity, EntityKind, EntityStatus, Severity

TAGGER = LexiconConfig().open()
PRESENT, ABSENT, UNCERTAIN = EntityStatus.PRESENT, EntityStatus.ABSENT, EntityStatus.UNCERTAIN


def tag(text: str) -> dict[str, Entity]:
    return {entity.text: entity for entity in TAGGER.tag([text])[0]}


def said(text: str) -> dict[str, EntityStatus]:
    return {e.text: e.status for e in TAGGER.tag([text])[0] if e.kind.is_clinical}


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("There is a small left pleural effusion.", {"pleural effusion": PRESENT}),
        ("No pleural effusions.", {"pleural effusion": ABSENT}),
        (
            "No pneumothorax, pleural effusion, or focal consolidation.",
            {"pneumothorax": ABSENT, "pleural effusion": ABSENT, "consolidation": ABSENT},
        ),
        (
            "No visible pneumothorax, focal airspace opacity, or pleural effusion is seen.",
            {"pneumothorax": ABSENT, "lung opacity": ABSENT, "pleural effusion": ABSENT},
        ),
        (
            "There is no pneumothorax, the heart is mildly enlarged.",
            {"pneumothorax": ABSENT, "cardiomegaly": PRESENT},
        ),
        (
            "The lungs are clear without effusion but there is mild scoliosis.",
            {"pleural effusion": ABSENT, "scoliosis": PRESENT},
        ),
        (
            "No infiltrate or effusion are seen, and the aorta is tortuous.",
            {"lung infiltrate": ABSENT, "pleural effusion": ABSENT, "tortuous aorta": PRESENT},
        ),
        ("No effusion, mild cardiomegaly.", {"pleural effusion": ABSENT, "cardiomegaly": PRESENT}),
        ("Pneumothorax is not seen.", {"pneumothorax": ABSENT}),
        ("The effusion has resolved.", {"pleural effusion": ABSENT}),
        ("Negative for mass or effusion.", {"lung mass": ABSENT, "pleural effusion": ABSENT}),
        ("The heart is not enlarged.", {"cardiomegaly": ABSENT}),
        ("Heart size is within normal limits.", {"cardiomegaly": ABSENT}),
        ("The trachea is midline.", {"tracheal deviation": ABSENT}),
        ("No change in the left pleural effusion.", {"pleural effusion": PRESENT}),
        ("No significant interval change in cardiomegaly.", {"cardiomegaly": PRESENT}),
        ("No mass effect.", {}),
        ("Nothing other than a granuloma; no mass.", {"granuloma": PRESENT, "lung mass": ABSENT}),
        ("Possible pneumonia.", {"pneumonia": UNCERTAIN}),
        ("Pneumonia cannot be excluded.", {"pneumonia": UNCERTAIN}),
        (
            "Opacity in the left base may represent atelectasis or pneumonia.",
            {"lung opacity": PRESENT, "atelectasis": UNCERTAIN, "pneumonia": UNCERTAIN},
        ),
        (
            "Left basilar atelectasis versus infiltrate.",
            {"atelectasis": UNCERTAIN, "lung infiltrate": UNCERTAIN},
        ),
        (
            "Possible small effusion and cardiomegaly.",
            {"pleural effusion": UNCERTAIN, "cardiomegaly": PRESENT},
        ),
        ("There may be cardiac enlargement.", {"cardiomegaly": UNCERTAIN}),
        ("No opacity to suggest pneumonia.", {"lung opacity": ABSENT, "pneumonia": ABSENT}),
        ("Borderline cardiomegaly.", {"cardiomegaly": UNCERTAIN}),
        (
            "Status post sternotomy and CABG.",
            {"sternotomy wires": PRESENT, "coronary artery bypass graft": PRESENT},
        ),
        (
            "Calcified granulomas; old granulomatous disease.",
            {"calcified granuloma": PRESENT, "granulomatous disease": PRESENT},
        ),
        ("", {}),
        ("XXXX", {}),
    ],
)
def test_tag_sentence_gives_statuses(sentence: str, expected: dict[str, EntityStatus]) -> None:
    assert said(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "term", "place", "severity"),
    [
        ("Small left effusion.", "pleural effusion", "left pleural space", Severity.MILD),
        ("Moderate bilateral effusions.", "pleural effusion", "pleural spaces", Severity.MODERATE),
        ("Left basilar opacity.", "lung opacity", "left lung base", None),
        ("Minimal basilar atelectasis on the left", "atelectasis", "left lung base", Severity.MILD),
        ("A nodule is seen in the right upper lobe.", "lung nodule", "right upper lobe", None),
        ("Scarring or atelectasis in the lingula.", "lung scarring", "lingula", None),
        ("The left lung base demonstrates opacity.", "lung opacity", "left lung base", None),
        ("In the right middle lobe, there is a mass.", "lung mass", "right middle lobe", None),
        ("Left basilar opacity may represent pneumonia.", "pneumonia", "left lung base", None),
        ("The left hilum is full.", "hilar enlargement", "left hilum", None),
        ("Left hilar mass.", "hilar mass", "left hilum", None),
        ("Opacity with a small left effusion.", "lung opacity", None, None),
        ("Mild cardiomegaly and left effusion.", "cardiomegaly", None, Severity.MILD),
        ("Effusion is moderate.", "pleural effusion", None, Severity.MODERATE),
        ("Moderate-to-large hiatal hernia.", "hiatal hernia", None, Severity.SEVERE),
        ("Nodule overlying the sternum.", "lung nodule", None, None),
    ],
)
def test_tag_sentence_gives_place_and_severity(
    sentence: str, term: str, place: str | None, severity: Severity | None
) -> None:
    entity = tag(sentence)[term]
    assert (entity.anatomy, entity.severity) == (place, severity)


def test_tag_anatomy_is_reported_whether_or_not_something_is_there() -> None:
    entities = tag("The mediastinum is unremarkable. Opacity at the left base.")
    assert entities["mediastinum"].kind is EntityKind.ANATOMY
    assert entities["left lung base"].kind is EntityKind.ANATOMY


@pytest.mark.parametrize(
    ("text", "status", "place"),
    [
        ("No effusion. Left effusion.", PRESENT, "left pleural space"),
        ("Left effusion. No effusion.", PRESENT, "left pleural space"),
        ("Possible effusion. No effusion.", UNCERTAIN, None),
        ("Possible effusion. Effusion.", PRESENT, None),
        ("Effusion. Small right effusion.", PRESENT, "right pleural space"),
    ],
)
def test_tag_several_mentions_merge_to_the_strongest(
    text: str, status: EntityStatus, place: str | None
) -> None:
    (entity,) = TAGGER.tag([text])[0]
    assert (entity.text, entity.status, entity.anatomy) == ("pleural effusion", status, place)


def test_tag_order_is_that_of_first_mention() -> None:
    (entities,) = TAGGER.tag(["No scoliosis. Cardiomegaly. There is a nodule. Mild scoliosis."])
    assert [e.text for e in entities] == ["scoliosis", "cardiomegaly", "lung nodule"]


def test_tag_texts_do_not_depend_on_each_other() -> None:
    texts = ["Cardiomegaly.", "No effusion.", "Possible pneumonia in the left lower lobe."]
    assert TAGGER.tag(texts) == [TAGGER.tag([text])[0] for text in texts]


def with_terms(*terms: tuple[str, EntityKind]) -> LexiconTagger:
    return LexiconConfig(extra_terms=terms).open()


def test_tag_extra_term_is_reported_in_its_own_words() -> None:
    tagger = with_terms(
        ("pulmonary nodule", EntityKind.ABNORMALITY),
        ("signet ring sign", EntityKind.NON_ABNORMALITY),
        ("pulmonary ligament", EntityKind.ANATOMY),
    )
    (entities,) = tagger.tag(
        ["Pulmonary nodules in the left lung. No signet ring sign. The pulmonary ligament is seen."]
    )
    assert {e.key for e in entities} == {
        ("pulmonary nodule", EntityKind.ABNORMALITY),
        ("left lung", EntityKind.ANATOMY),
        ("signet ring sign", EntityKind.NON_ABNORMALITY),
        ("pulmonary ligament", EntityKind.ANATOMY),
    }


def test_tag_extra_statement_of_normality_is_absent_when_said() -> None:
    tagger = with_terms(("normal heart size", EntityKind.NON_ABNORMALITY))
    (entities,) = tagger.tag(["Normal heart size."])
    assert [(e.text, e.status) for e in entities] == [("normal heart size", ABSENT)]


def test_revision_changes_with_extra_terms() -> None:
    plain = LexiconConfig()
    more = LexiconConfig(extra_terms=(("fibroma", EntityKind.DISEASE),))
    assert plain.revision() == LexiconConfig().revision() != more.revision()


def test_config_is_found_by_kind() -> None:
    assert engine_config("taggers", {"kind": "lexicon"}) == LexiconConfig()


@given(st.text(max_size=200))
def test_tag_any_text_gives_one_entity_per_term(text: str) -> None:
    (entities,) = TAGGER.tag([text])
    assert len({e.text for e in entities}) == len(entities)
