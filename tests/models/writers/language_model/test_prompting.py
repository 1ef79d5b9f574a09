from hypothesis import given, settings

from models.engines import WriteRequest
from models.writers.language_model.configs import EndpointConfig
from models.writers.language_model.prompting import load_prompts, prompt_hash
from storage.records import Entity, EntityKind, EntityStatus, Severity, Sex, View
from tests.models.entity_sets import entity_sets

PROMPTS = load_prompts("v1")
ENTITIES = (
    Entity(
        "pleural effusion",
        EntityKind.ABNORMALITY,
        EntityStatus.PRESENT,
        "left pleural space",
        Severity.MILD,
    ),
    Entity("pneumonia", EntityKind.DISEASE, EntityStatus.UNCERTAIN),
    Entity("pneumothorax", EntityKind.NON_ABNORMALITY, EntityStatus.ABSENT),
    Entity("aorta", EntityKind.ANATOMY, EntityStatus.PRESENT),
)


def test_prompt_says_each_item_with_status_severity_and_place() -> None:
    request = WriteRequest("s", 1, ENTITIES, View.AP, Sex.FEMALE, 61)
    assert PROMPTS.ask_findings(request).user.splitlines() == [
        "View: AP",
        "Patient: female, 61 years old",
        "Items:",
        "- pleural effusion: present, severity mild, place left pleural space",
        "- pneumonia: possible",
        "- pneumothorax: absent",
        "- aorta: only to be mentioned",
    ]


def test_prompt_of_nothing_asks_for_an_unremarkable_examination() -> None:
    user = PROMPTS.ask_report(WriteRequest("s", 1, (), View.PA)).user
    assert "Patient: unknown" in user
    assert user.endswith("the examination is unremarkable")


def test_prompt_of_the_impression_shows_findings_with_dollars_as_they_are() -> None:
    assert PROMPTS.ask_impression("Cost $findings, $5.").user == "FINDINGS: Cost $findings, $5."


@settings(max_examples=50)
@given(entity_sets())
def test_prompt_has_one_line_per_entity_and_no_gap_left(entities: tuple[Entity, ...]) -> None:
    user = PROMPTS.ask_findings(WriteRequest("s", 1, entities, View.PA)).user
    assert len(user.splitlines()) == 3 + max(1, len(entities))
    assert "$" not in user


def test_every_version_a_plan_may_name_is_there() -> None:
    field = EndpointConfig.model_json_schema()["properties"]["prompt"]
    versions = field.get("enum") or [field["const"]]
    assert all(load_prompts(version) and prompt_hash(version) for version in versions)
