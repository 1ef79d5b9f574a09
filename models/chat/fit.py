"""Can this model do what it is opened for? Asked once, of one token, before work is spent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from models.chat.client import RequestRefused
from models.chat.messages import Messages
from models.chat.served import ServedModel
from storage.errors import EngineFailed, EngineUnavailable

_TIMEOUT_SECONDS = 600.0  # for the first tokens of all chats


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a model is opened for, in the words of its errors.

    Attributes:
        answer: What is asked for ("a report").
        needs: The model that can be asked ("an instruction-tuned model with a chat template").
        limit: Field of the plan that makes answers shorter.
    """

    answer: str
    needs: str
    limit: str


async def require_fit(
    purpose: Purpose,
    served: ServedModel,
    chats: Iterable[tuple[Messages, int]],
    first_token: Callable[[Messages], Awaitable[int]],
) -> None:
    """Ask for one token of the longest chats: a model that cannot answer them says so now.

    Args:
        purpose: What for.
        served: The model.
        chats: Each kind of chat at its longest, with the tokens that must fit beside it.
        first_token: Completes a chat by one token; gives the tokens of its prompt.

    Raises:
        EngineUnavailable: If the server refuses, fails or hangs, or the context is too short.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            for messages, answer_tokens in chats:
                prompt_tokens = await first_token(messages)
                require_context(
                    purpose, served.name, served.context_tokens, prompt_tokens, answer_tokens
                )
    except RequestRefused as error:
        raise EngineUnavailable(
            f"model {served.name!r} cannot be asked for {purpose.answer}: {error}; name "
            f"{purpose.needs} and a context long enough"
        ) from error
    except EngineFailed as error:
        raise EngineUnavailable(f"model {served.name!r} does not answer: {error}") from error
    except TimeoutError as error:
        raise EngineUnavailable(
            f"{served.address}: no answer to a first request in {_TIMEOUT_SECONDS:g} s"
        ) from error


def require_context(
    purpose: Purpose,
    name: str,
    context_tokens: int | None,
    prompt_tokens: int,
    answer_tokens: int,
) -> None:
    """Refuse a context that a prompt and its answer do not fit.

    Raises:
        EngineUnavailable: If they do not; says by how much.
    """
    if context_tokens is not None and context_tokens < prompt_tokens + answer_tokens:
        raise EngineUnavailable(
            f"model {name!r} has a context of {context_tokens} tokens, {purpose.answer} takes "
            f"{prompt_tokens} for the prompt and up to {answer_tokens} for what is written; "
            f"lower {purpose.limit}, or name a model of longer context"
        )
