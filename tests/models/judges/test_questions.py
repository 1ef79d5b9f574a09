import json
from typing import Any

import pytest

from models.judges.configs import EndpointJudgeConfig
from models.judges.parsing import answer_schema, answers_of
from models.judges.prompting import load_prompts, prompt_hash
from models.judges.questions import JudgeRules, Question, verdict_of
from storage.records import GateScore, RejectionReason
from tests.models.judges.answers import answer_text, image


def _without(question: str) -> str:
    answers: dict[str, Any] = json.loads(answer_text())
    del answers[question]
    return json.dumps(answers)


def _with(question: str, answer: Any) -> str:
    return json.dumps(json.loads(answer_text()) | {question: answer})


@pytest.mark.parametrize("before", ["", "<think>It looks\nlike one.</think>\n"])
def test_answer_gives_yes_or_no_and_a_reason_per_question(before: str) -> None:
    answers = answers_of(before + answer_text(no=[Question.FRONTAL]))
    assert [answer.question for answer in answers] == list(Question)
    assert [answer.yes for answer in answers] == [True, True, False, True, True, True]
    assert answers[2].reason == "because of frontal"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm sorry, I cannot help with medical images.",
        answer_text()[:-20],
        f"Here you are: {answer_text()}",
        answer_text() + answer_text(),
        "[]",
        "null",
        "{}",
        _without("human"),
        _with("extra", {"reason": "r", "answer": "yes"}),
        _with("human", "yes"),
        _with("human", {"reason": "r", "answer": "maybe"}),
        _with("human", {"reason": "r", "answer": True}),
        _with("human", {"reason": "r", "answer": ["yes"]}),
        _with("human", {"reason": None, "answer": "yes"}),
        _with("human", {"answer": "yes"}),
        "<think>it never ends",
    ],
)
def test_answer_that_is_not_all_six_is_none(text: str) -> None:
    assert answers_of(text) == ()


def test_reason_is_one_line_that_can_be_stored() -> None:
    text = _with("human", {"reason": "a\n  rib \ud83d", "answer": "yes"})
    assert answers_of(text)[1].reason == "a rib ?"


def test_schema_asks_for_every_question_and_nothing_else() -> None:
    schema = answer_schema(max_reason_characters=9)
    assert schema["required"] == list(Question)
    assert schema["additionalProperties"] is False
    for question in Question:
        one = schema["properties"][question]
        assert one["required"] == ["reason", "answer"]
        assert one["properties"]["reason"]["maxLength"] == 9
    assert "maxLength" not in json.dumps(answer_schema())


def test_any_no_rejects_by_default_and_the_first_names_the_reason() -> None:
    no = [Question.FIDELITY, Question.HUMAN]
    verdict = verdict_of(answers_of(answer_text(no)), JudgeRules())
    assert verdict.reason is RejectionReason.NOT_HUMAN
    assert {score.measure for score in verdict.scores if not score.passed} == set(no)
    assert verdict_of(answers_of(answer_text()), JudgeRules()).passed


def test_no_to_a_question_that_rejects_nothing_is_kept_with_its_score() -> None:
    rules = JudgeRules(must_be_yes=(Question.FRONTAL,))
    verdict = verdict_of(answers_of(answer_text([Question.QUALITY])), rules)
    assert verdict.passed
    assert GateScore("judge", "quality", 0.0, 0.0, True) in verdict.scores
    assert GateScore("judge", "frontal", 1.0, 1.0, True) in verdict.scores


def test_every_question_has_a_reason_of_its_own() -> None:
    reasons = {verdict_of(answers_of(answer_text([one])), JudgeRules()).reason for one in Question}
    assert len(reasons) == len(Question)


def test_no_answer_is_never_a_pass() -> None:
    rules = JudgeRules(must_be_yes=(Question.FRONTAL,))
    assert verdict_of((), rules).reason is RejectionReason.JUDGE_UNREADABLE


def test_prompt_asks_every_question_with_the_image_before_them() -> None:
    png = image(7)
    messages = load_prompts("v1").ask(png)
    assert all(f"- {question}: " in messages.user for question in Question)
    assert "$" not in messages.user
    shown, said = messages.content()[1]["content"]
    assert shown["image_url"]["url"].startswith("data:image/png;base64,")
    assert said == {"type": "text", "text": messages.user}


def test_every_version_a_plan_may_name_is_there() -> None:
    field = EndpointJudgeConfig.model_json_schema()["properties"]["prompt"]
    versions = field.get("enum") or [field["const"]]
    assert all(load_prompts(version) and prompt_hash(version) for version in versions)
