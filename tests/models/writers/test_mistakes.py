"""Reports that are wrong on purpose: how many, in which ways, and that the gate finds them."""

import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engines import WriteRequest, engine_config
from models.gates.report import ReportRules, check_report
from models.taggers.configs import LexiconConfig
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from models.writers.configs import GrammarConfig
from models.writers.mistakes import add, drop, in_words, mistaken, opposite
from storage.records import Entity, EntityKind, EntityStatus, View
from tests.models.entity_sets import entity_sets

RIGHT = GrammarConfig().open()
WRONG = GrammarConfig(mistakes=1.0).open()
TAGGER = LexiconConfig().open()
SEEDS = st.integers(0, 2**63 - 1)
PRESENT, ABSENT, UNCERTAIN = EntityStatus.PRESENT, EntityStatus.ABSENT, EntityStatus.UNCERTAIN
ABNORMALITY, ANATOMY = EntityKind.ABNORMALITY, EntityKind.ANATOMY
ASKED = (
    Entity("cardiomegaly", ABNORMALITY, PRESENT),
    Entity("pneumothorax", EntityKind.NON_ABNORMALITY, ABSENT),
    Entity("left lung base", ANATOMY, PRESENT),
)
OTHERS = [Entity(f.term, ABNORMALITY, PRESENT) for f in (Finding.MASS, Finding.CARDIOMEGALY)]


def requests(number: int, entities: tuple[Entity, ...] = ASKED) -> list[WriteRequest]:
    return [WriteRequest(str(seed), seed, entities, View.PA) for seed in range(number)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(entity_sets(), SEEDS)
def test_report_with_a_mistake_is_never_accepted_and_reads_as_well(
    entities: tuple[Entity, ...], seed: int
) -> None:
    (answer,) = WRONG.write([WriteRequest("sample", seed, entities, View.PA)])
    report = answer.report
    findings, impression = TAGGER.tag([report.findings, report.impression])
    verdict = check_report(entities, report, findings, impression, ReportRules())
    assert not verdict.passed, (answer.prompt, report)
    assert check_report(entities, report, findings, impression, ReportRules(match="nothing")).passed
    assert re.search(r"; by mistake with(out)? ", answer.prompt)


def test_share_of_wrong_reports_is_as_said_and_the_others_are_the_grammars_own() -> None:
    asked = requests(2000)
    answers = GrammarConfig(mistakes=0.3).open().write(asked)
    own = RIGHT.write(asked)
    wrong = ["by mistake" in answer.prompt for answer in answers]
    assert sum(wrong) / len(wrong) == pytest.approx(0.3, abs=0.04)  # four standard errors
    for answer, right, is_wrong in zip(answers, own, wrong, strict=True):
        assert (answer.report == right.report) is not is_wrong
        assert (answer.prompt == right.prompt) is not is_wrong


def test_each_way_to_be_wrong_is_as_likely() -> None:
    prompts = [answer.prompt.split("by mistake ")[1] for answer in WRONG.write(requests(900))]
    ways = Counter(tuple(re.findall(r"\bwith(?:out)?\b", prompt)) for prompt in prompts)
    assert set(ways) == {("without",), ("with",), ("without", "with")}
    assert min(ways.values()) > 240


def test_mistake_depends_on_its_request_alone() -> None:
    asked = requests(60)
    writer = GrammarConfig(mistakes=0.5).open()
    alone = [writer.write([one])[0] for one in asked]
    again = GrammarConfig(mistakes=0.5).open().write(asked[::-1])[::-1]
    assert [one.report for one in again] == [one.report for one in alone]
    assert [one.prompt for one in again] == [one.prompt for one in alone]


def test_another_try_of_a_sample_may_be_right() -> None:
    writer = GrammarConfig(mistakes=0.5).open()
    of_tries = {"by mistake" in answer.prompt for answer in writer.write(requests(20))}
    assert of_tries == {True, False}


@pytest.mark.parametrize("seed", range(30))
def test_mistaken_is_one_change_of_what_can_be_changed(seed: int) -> None:
    said = mistaken(ASKED, OTHERS, Random(seed))
    kept = [entity for entity in ASKED if entity in said]
    new = [entity for entity in said if entity not in ASKED]
    assert len(kept) in (2, 3)
    assert len(new) <= 1
    assert (len(kept), new) != (3, [])
    assert all(one == OTHERS[0] or one.text in {e.text for e in ASKED} for one in new)
    assert mistaken((), OTHERS, Random(seed))[0] in OTHERS, "of nothing, something is added"
    only_place = mistaken(ASKED[2:], [], Random(seed))
    assert only_place == (), "anatomy has no opposite"


def test_drop_leaves_the_place_that_a_finding_stays_in() -> None:
    placed = (Entity("atelectasis", ABNORMALITY, PRESENT, "left lung base"), ASKED[2])
    assert {drop(placed, Random(seed)) for seed in range(20)} == {placed[1:]}


def test_add_says_nothing_twice() -> None:
    assert {add(ASKED, Random(seed), OTHERS) for seed in range(20)} == {(*ASKED, OTHERS[0])}


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        (Entity("a", ABNORMALITY, PRESENT), (EntityKind.NON_ABNORMALITY, ABSENT)),
        (Entity("a", EntityKind.DISEASE, UNCERTAIN), (EntityKind.NON_DISEASE, ABSENT)),
        (Entity("a", EntityKind.NON_DISEASE, ABSENT), (EntityKind.DISEASE, PRESENT)),
    ],
)
def test_opposite_of_what_is_or_may_be_there_is_that_it_is_not(
    entity: Entity, expected: tuple[EntityKind, EntityStatus]
) -> None:
    assert (opposite(entity).kind, opposite(entity).status) == expected


def test_in_words_says_what_was_asked_and_what_was_told() -> None:
    told = (opposite(ASKED[0]), *ASKED[1:])
    assert in_words(ASKED, told) == (
        "cardiomegaly (present); pneumothorax (absent); left lung base (present); "
        "by mistake without cardiomegaly (present), with cardiomegaly (absent)"
    )
    assert in_words((), tuple(OTHERS[:1])) == "nothing; by mistake with lung mass (present)"


def test_writer_that_never_errs_is_the_one_it_was() -> None:
    """Its settings and revision name every dataset from before there were mistakes."""
    plain, none, some = GrammarConfig(), GrammarConfig(mistakes=0), GrammarConfig(mistakes=0.3)
    assert plain.model_dump(mode="json") == {"kind": "grammar", "wording": "varied"}
    assert none.model_dump() == plain.model_dump()
    assert plain.revision() == none.revision() != some.revision()
    assert some.model_dump(mode="json")["mistakes"] == 0.3
    assert engine_config("writers", some.model_dump()) == some
    assert WRONG.info.deterministic
    assert WRONG.info.revision == GrammarConfig(mistakes=1.0).revision()


def test_what_is_added_is_one_of_the_14_findings() -> None:
    (answer,) = WRONG.write([WriteRequest("sample", 5, (), View.PA)])
    found = {entity.text for entity in TAGGER.tag([answer.report.findings])[0]}
    assert found & {load_vocabulary().of_finding(finding).text for finding in Finding}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_share_of_mistakes_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(
        ValueError, match=rf"mistakes\n.*than or equal to \d.*input_value={share:g}"
    ):
        engine_config("writers", {"kind": "grammar", "mistakes": share})
