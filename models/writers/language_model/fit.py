"""The longest chats a writer may have, for the check that a model can write a report at all."""

from models.chat.fit import Purpose, require_context
from models.chat.messages import Messages
from models.chat.weights import Weights, find_weights
from models.engines import WriteRequest
from models.writers.language_model.configs import LanguageModelConfig, VllmConfig
from models.writers.language_model.examples import prompts_of
from storage.records import Entity, EntityKind, EntityStatus, Severity, View

WRITING = Purpose(
    answer="a report",
    needs="an instruction-tuned model with a chat template",
    limit="max_findings_tokens",
)
# As long as a request gets in study 1: nine clinical entities and three of anatomy.
_LONGEST_REQUEST = WriteRequest(
    sample_id="",
    seed=0,
    entities=(
        *(
            Entity(
                f"pleural thickening {number}",
                EntityKind.ABNORMALITY,
                EntityStatus.PRESENT,
                "left costophrenic angle",
                Severity.MODERATE,
            )
            for number in range(9)
        ),
        *(
            Entity(f"costophrenic angle {number}", EntityKind.ANATOMY, EntityStatus.PRESENT)
            for number in range(3)
        ),
    ),
    view=View.PA,
)


def writer_weights(config: VllmConfig) -> Weights:
    """The model's files, checked for what a report needs.

    Raises:
        EngineUnavailable: If they are missing, lack a chat template, or allow too short a context.
    """
    weights = find_weights(config)
    require_context(WRITING, config.model, weights.context_tokens, *_fewest_tokens(config))
    return weights


def longest_chats(config: LanguageModelConfig) -> list[tuple[Messages, int]]:
    """Each kind of chat at its longest, with the tokens that may have to fit beside it."""
    prompts = prompts_of(config)
    both = config.max_findings_tokens + config.max_impression_tokens
    if config.passes == "structured":
        return [(prompts.ask_report(_LONGEST_REQUEST), both)]
    return [
        (prompts.ask_findings(_LONGEST_REQUEST), config.max_findings_tokens),
        (prompts.ask_impression(""), both),  # FINDINGS at their limit stand in this prompt
    ]


def _fewest_tokens(config: LanguageModelConfig) -> tuple[int, int]:
    """(prompt, answer) tokens that the longest chat takes at least: a word is one token or more.

    For a check without a tokenizer.
    """
    counted = [
        (len(f"{messages.system} {messages.user}".split()), answer_tokens)
        for messages, answer_tokens in longest_chats(config)
    ]
    return max(counted, key=sum)
