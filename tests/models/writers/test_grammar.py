import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engines import ReportWriter, WriteRequest, engine_config
from models.gates.report import ReportRules, check_report
from models.taggers.configs import LexiconConfig
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.modifiers import load_modifiers
from models.writers.configs import GrammarConfig
from models.writers.phrases import load_phrases
from storage.records import Entity, EntityKind, EntityStatus, Report, Severity, View
from tests.models.entity_sets import entity_sets

WRITER = GrammarConfig().open()
CANONICAL = GrammarConfig(wording="canonical").open()
TAGGER = LexiconConfig().open()
SEEDS = st.integers(0, 2**63 - 1)
PRESENT, ABSENT, UNCERTAIN = EntityStatus.PRESENT, EntityStatus.ABSENT, EntityStatus.UNCERTAIN
ABNORMALITY, ANATOMY = EntityKind.ABNORMALITY, EntityKind.ANATOMY
STRICT = ReportRules(match="pairs and anatomy")


def request(entities: tuple[Entity, ...], seed: int = 0) -> WriteRequest:
    return WriteRequest("sample", seed, entities, View.PA)


def write(entities: tuple[Entity, ...], seed: int = 0, writer: ReportWriter = WRITER) -> Report:
    (answer,) = writer.write([request(entities, seed)])
    return answer.report


@settings(max_examples=400, deadline=None, derandomize=True)
@given(entity_sets(), SEEDS)
def test_write_any_entity_set_is_read_back_exactly(entities: tuple[Entity, ...], seed: int) -> None:
    findings = write(entities, seed).findings
    (found,) = TAGGER.tag([findings])
    places = {entity.anatomy for entity in entities}
    unasked = {e for e in found if e.kind is not ANATOMY or e.text not in places}
    assert set(entities) <= set(found), findings
    assert unasked <= set(entities), findings


@settings(max_examples=200, deadline=None, derandomize=True)
@given(entity_sets(), SEEDS, st.sampled_from([WRITER, CANONICAL]))
def test_write_any_entity_set_passes_the_gate(
    entities: tuple[Entity, ...], seed: int, writer: ReportWriter
) -> None:
    report = write(entities, seed, writer)
    findings, impression = TAGGER.tag([report.findings, report.impression])
    verdict = check_report(entities, report, findings, impression, STRICT)
    assert verdict.passed, (verdict.reason, report)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(entity_sets(), SEEDS)
def test_write_impression_says_all_that_is_or_may_be_there(
    entities: tuple[Entity, ...], seed: int
) -> None:
    (found,) = TAGGER.tag([write(entities, seed).impression])
    clinical = {entity for entity in found if entity.kind.is_clinical}
    assert clinical == {e for e in entities if e.kind.is_clinical and e.status is not ABSENT}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(entity_sets(), SEEDS)
def test_write_prose_is_well_formed(entities: tuple[Entity, ...], seed: int) -> None:
    report = write(entities, seed)
    for section in (report.findings, report.impression):
        assert section.endswith(".")
        assert not re.search(r"[{}]|  | [.,]|\.\.|\ba (?=[aeiou])|\ban (?=[^aeiou])", section)
        assert all(s[0].isupper() or s[0].isdigit() for s in section.split(". "))
        assert load_modifiers().comparison_word(section) is None


def test_write_again_is_identical() -> None:
    entities = (Entity("atelectasis", ABNORMALITY, PRESENT, "left lung base", Severity.MILD),)
    fresh = GrammarConfig().open()
    assert write(entities, 7) == write(entities, 7, fresh)


def test_write_batch_does_not_change_a_report() -> None:
    requests = [
        request((Entity("cardiomegaly", ABNORMALITY, PRESENT, None, severity),), seed)
        for seed in range(20)
        for severity in Severity
    ]
    alone = [WRITER.write([one])[0].report for one in requests]
    assert [answer.report for answer in WRITER.write(requests[::-1])][::-1] == alone


def test_write_seeds_vary_the_sentences() -> None:
    entities = (Entity("pleural effusion", ABNORMALITY, PRESENT, "left pleural space"),)
    assert len({write(entities, seed).findings for seed in range(50)}) >= 5


def test_write_answers_in_order_with_prompt_and_time() -> None:
    terms = ("cardiomegaly", "scoliosis")
    answers = WRITER.write([request((Entity(t, ABNORMALITY, PRESENT),)) for t in terms])
    assert [answer.prompt for answer in answers] == [f"{term} (present)" for term in terms]
    assert all(answer.engine_seconds > 0 for answer in answers)


def test_write_nothing_asked_says_the_examination_is_unremarkable() -> None:
    report = write(())
    assert TAGGER.tag([report.findings, report.impression]) == [(), ()]
    assert report.findings
    assert report.impression


@pytest.mark.parametrize("seed", range(10))
def test_write_several_denials_share_a_sentence(seed: int) -> None:
    terms = ("pleural effusion", "pneumothorax", "pleural plaque")
    entities = tuple(Entity(t, EntityKind.NON_ABNORMALITY, ABSENT) for t in terms)
    findings = write(entities, seed).findings
    assert findings.count(".") == 1
    assert "effusion, pneumothorax, or pleural plaque" in findings


@pytest.mark.parametrize("seed", range(10))
def test_write_anatomy_beside_its_finding_is_otherwise_unremarkable(seed: int) -> None:
    entities = (Entity("heart", ANATOMY, PRESENT), Entity("cardiomegaly", ABNORMALITY, PRESENT))
    assert "heart" in write(entities, seed).findings.lower()
    assert "otherwise" in write(entities, seed).findings


@pytest.mark.parametrize("seed", range(10))
def test_write_uncertain_cause_is_joined_to_its_sign_or_stands_alone(seed: int) -> None:
    entities = (
        Entity("lung opacity", ABNORMALITY, PRESENT, "left lung base"),
        Entity("pneumonia", EntityKind.DISEASE, UNCERTAIN, "left lung base"),
    )
    (found,) = TAGGER.tag([write(entities, seed).findings])
    assert set(entities) <= set(found)


def test_write_impression_puts_the_urgent_first() -> None:
    terms = ("scoliosis", "cardiomegaly", "pneumothorax")
    entities = tuple(Entity(term, ABNORMALITY, PRESENT) for term in terms)
    for seed in range(20):
        impression = write(entities, seed).impression.lower()
        positions = [impression.index(w) for w in ("pneumothorax", "cardi")]
        assert positions == sorted(positions)


def test_write_unknown_terms_verbatim_and_read_back_with_extra_terms() -> None:
    terms = (
        Entity("reverse batwing sign", ABNORMALITY, PRESENT, "left lung", Severity.MILD),
        Entity("Castleman disease", EntityKind.DISEASE, UNCERTAIN),
        Entity("crescents of air", EntityKind.NON_ABNORMALITY, ABSENT),
        Entity("normal heart size", EntityKind.NON_ABNORMALITY, ABSENT),
        Entity("aortopulmonary window", ANATOMY, PRESENT),
    )
    tagger = LexiconConfig(extra_terms=tuple((e.text, e.kind) for e in terms)).open()
    for seed in range(30):
        report = write(terms, seed)
        findings, impression = tagger.tag([report.findings, report.impression])
        assert check_report(terms, report, findings, impression, ReportRules()).passed, report
        assert "no normal" not in report.findings.lower()


def test_phrases_names_are_forms_of_their_terms() -> None:
    vocabulary, phrases = load_vocabulary(), load_phrases()
    for term, names in phrases.names.items():
        for name in names:
            concept = vocabulary.lookup(name)
            assert concept is not None, name
            assert concept.text == term, name
    for term, name in phrases.denied_names.items():
        assert vocabulary.lookup(name) is vocabulary.concepts[term], name


def test_phrases_name_only_terms_of_the_vocabulary() -> None:
    phrases, known = load_phrases(), load_vocabulary().concepts.keys()
    for terms in (
        *(phrases.countable, phrases.plural, phrases.side_alone, phrases.sized, phrases.quiet),
        *(phrases.whole_places, phrases.plural_places, phrases.clear_places, phrases.signs),
        *(phrases.causes, phrases.importance.keys(), phrases.placed_names.keys()),
        *(phrases.prepositions.keys(), phrases.preposition_of_term.keys(), phrases.regions.keys()),
        *(phrases.adjectives.keys(), phrases.denials.keys(), phrases.adverb_terms),
    ):
        assert terms <= known, terms - known


def test_phrases_denials_state_absence_of_their_terms() -> None:
    for term, sentences in load_phrases().denials.items():
        for sentence in sentences:
            (found,) = TAGGER.tag([sentence])
            assert [(e.text, e.status) for e in found] == [(term, ABSENT)], sentence


def test_config_is_found_by_kind() -> None:
    assert engine_config("writers", {"kind": "grammar"}) == GrammarConfig()


def test_revision_names_the_words() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", GrammarConfig().revision())
    assert WRITER.info.deterministic
