"""Can this model write a report at all? Asked once, of one token, before work is spent."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from models.engines import WriteRequest
from models.writers.language_model.client import RequestRefused
from models.writers.language_model.configs import LanguageModelConfig
from models.writers.language_model.prompting import Messages, load_prompts
from storage.errors import EngineFailed, EngineUnavailable
from storage.records import Entity, EntityKind, EntityStatus, Severity, View

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


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model behind an address.

    Attributes:
        address: Base of the interface: http://host:port/v1.
        name: Name under which it is served.
        context_tokens: Longest prompt and answer together; None when the server does not say.
        api_key: None when none is asked for.
    """

    address: str
    name: str
    context_tokens: int | None
    api_key: str | None = None


async def require_fit(
    config: LanguageModelConfig,
    served: ServedModel,
    first_tokens: Callable[[Messages], Awaitable[int]],
) -> None:
    """Ask for one token of the longest request: a model that cannot write says so now.

    Args:
        config: What will be asked.
        served: The model.
        first_tokens: Completes a chat by one token; gives the tokens of its prompt.

    Raises:
        EngineUnavailable: If the server refuses or fails, or the context is too short.
    """
    for messages, answer_tokens in _longest_chats(config):
        try:
            prompt_tokens = await first_tokens(messages)
        except RequestRefused as error:
            raise EngineUnavailable(
                f"model {served.name!r} cannot be asked for a report: {error}; name an "
                "instruction-tuned model with a chat template and a context long enough"
            ) from error
        except EngineFailed as error:
            raise EngineUnavailable(f"model {served.name!r} does not answer: {error}") from error
        require_context(served.name, served.context_tokens, prompt_tokens, answer_tokens)


def require_context(
    name: str, context_tokens: int | None, prompt_tokens: int, answer_tokens: int
) -> None:
    """Refuse a context that a prompt and its answer do not fit.

    Raises:
        EngineUnavailable: If they do not; says by how much.
    """
    if context_tokens is not None and context_tokens < prompt_tokens + answer_tokens:
        raise EngineUnavailable(
            f"model {name!r} has a context of {context_tokens} tokens, a report takes "
            f"{prompt_tokens} for the prompt and up to {answer_tokens} for what is written; "
            "lower max_findings_tokens, or name a model of longer context"
        )


def fewest_tokens(config: LanguageModelConfig) -> tuple[int, int]:
    """(prompt, answer) tokens that the longest chat takes at least: a word is one token or more.

    For a check without a tokenizer.
    """
    counted = [
        (len(f"{messages.system} {messages.user}".split()), answer_tokens)
        for messages, answer_tokens in _longest_chats(config)
    ]
    return max(counted, key=sum)


def _longest_chats(config: LanguageModelConfig) -> list[tuple[Messages, int]]:
    """Each kind of chat at its longest, with the tokens that may have to fit beside it."""
    prompts = load_prompts(config.prompt)
    both = config.max_findings_tokens + config.max_impression_tokens
    if config.passes == "structured":
        return [(prompts.ask_report(_LONGEST_REQUEST), both)]
    return [
        (prompts.ask_findings(_LONGEST_REQUEST), config.max_findings_tokens),
        (prompts.ask_impression(""), both),  # FINDINGS at their limit stand in this prompt
    ]
