"""From what a model said to its answers: all six, each yes or no with a reason, or none at all."""

import json
from typing import Any

from models.chat.parsing import one_line, without_reasoning
from models.judges.questions import Question
from storage.records import JudgeAnswer

_YES_OR_NO = {"yes": True, "no": False}


def answer_schema(max_reason_characters: int | None = None) -> dict[str, Any]:
    """JSON schema of an answer; the reason comes first, so that the answer follows from it.

    Args:
        max_reason_characters: Bound on each reason, for servers that hold it; None: no bound.
    """
    bound = {} if max_reason_characters is None else {"maxLength": max_reason_characters}
    reason = {"type": "string"} | bound
    one = _closed_object({"reason": reason, "answer": {"type": "string", "enum": [*_YES_OR_NO]}})
    return _closed_object({str(question): one for question in Question})


def answers_of(text: str) -> tuple[JudgeAnswer, ...]:
    """The answers, in the questions' order; empty unless the text answers each and nothing else."""
    try:
        found = json.loads(without_reasoning(text))
    except ValueError:
        return ()
    if not isinstance(found, dict) or found.keys() != set(Question):
        return ()
    answers = [_answer(question, found[question]) for question in Question]
    readable = [answer for answer in answers if answer is not None]
    return tuple(readable) if len(readable) == len(answers) else ()


def _answer(question: Question, found: Any) -> JudgeAnswer | None:
    if not isinstance(found, dict) or found.keys() != {"reason", "answer"}:
        return None
    reason, said = found["reason"], found["answer"]
    if not isinstance(reason, str) or said not in [*_YES_OR_NO]:
        return None
    return JudgeAnswer(str(question), _YES_OR_NO[said], one_line(reason))


def _closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
