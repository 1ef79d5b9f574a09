"""The OpenAI-compatible client of writers and judges: chat completions, hundreds at once.

On aiohttp, because the client must not be what a fast server waits for: with 256 requests in flight
it takes 0.15 ms of CPU a request, httpx 0.9 with a client per slot and 14 with one shared
(benchmarks/writer_cost.py has the figure for whole reports).
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from models.chat.messages import Messages
from models.chat.served import ServedModel
from storage.errors import EngineFailed

_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_CUT = ("length", "content_filter")
_MAX_BUSY_ANSWERS = 6
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_CONNECT_SECONDS = 30.0
_KEEP_SECONDS = 3.0
_SHOWN_CHARACTERS = 300  # of a server's own message
_QUOTED_CHARACTERS = 40  # of a line of the request: as many show that a message quotes it


class RequestRefused(EngineFailed):
    """The server says that this request can never be answered (status 4xx)."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. `seed` is the request's own, so that a batch changes nothing."""

    temperature: float
    top_p: float
    seed: int
    max_tokens: int
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. `text` is empty where the server gave none; `finished`: not cut at its limit."""

    text: str
    finished: bool
    num_prompt_tokens: int
    num_written_tokens: int

    @property
    def num_tokens(self) -> int:
        """Read and written."""
        return self.num_prompt_tokens + self.num_written_tokens


class ChatClient:
    """Chat completions of one model at one address. Made, used and closed within one event loop.

    Args:
        served: Where the model answers; its key is sent as a bearer token.
    """

    def __init__(self, served: ServedModel) -> None:
        self._address = served.address
        self._url = f"{served.address}/chat/completions"
        self._model = served.name
        self._session = aiohttp.ClientSession(
            # As many connections as requests in flight; none kept until the server closes it
            # (5 s in vLLM), lest a request be sent as that happens.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            headers={"Authorization": f"Bearer {served.api_key}"} if served.api_key else None,
        )

    async def complete(self, messages: Messages, sampling: Sampling) -> Completion:
        """Ask for one completion; a server that says it is busy is asked again.

        Raises:
            RequestRefused: If the server refuses this very request.
            EngineFailed: If the server is gone, broken, or busy for too long.
        """
        content = self._content(messages, sampling)
        try:
            for number in range(_MAX_BUSY_ANSWERS):
                # A redirect would take the text to a host that the plan does not name.
                async with self._session.post(
                    self._url, json=content, allow_redirects=False
                ) as answer:
                    if answer.status == HTTPStatus.OK:
                        return _completion(await answer.json(content_type=None))
                    if answer.status not in _BUSY:
                        raise self._failure(answer.status, await answer.text(), messages)
                    wait_seconds = _wait_seconds(answer.headers.get("Retry-After"), number)
                await asyncio.sleep(wait_seconds)
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFailed(f"{self._address}: {type(error).__name__}: {error}") from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise EngineFailed(
                f"{self._address}: expected a chat completion, got something else: {error!r}"
            ) from error
        raise EngineFailed(f"{self._address}: still busy after {_MAX_BUSY_ANSWERS} requests")

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def _content(self, messages: Messages, sampling: Sampling) -> dict[str, Any]:
        content = {
            "model": self._model,
            "messages": messages.content(),
            "seed": sampling.seed,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.schema is not None:
            schema = {"name": "answer", "strict": True, "schema": sampling.schema}
            content["response_format"] = {"type": "json_schema", "json_schema": schema}
        return content

    def _failure(self, status: int, body: str, messages: Messages) -> EngineFailed:
        said = _server_message(body)
        # Failures are logged, and what was asked may derive from a restricted corpus.
        lines = f"{messages.system}\n{messages.user}".splitlines()
        quoted = ("data:image", *(line[:_QUOTED_CHARACTERS] for line in lines if line))
        if any(words in said for words in quoted):
            said = "its message quotes the request, and is left out"
        message = f"{self._address} answered {status}: {said[:_SHOWN_CHARACTERS]}"
        refused = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        return RequestRefused(message) if refused else EngineFailed(message)


def _completion(answer: dict[str, Any]) -> Completion:
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    return Completion(
        text=choice["message"].get("content") or "",
        finished=choice.get("finish_reason") not in _CUT,
        num_prompt_tokens=int(usage.get("prompt_tokens", 0)),
        num_written_tokens=int(usage.get("completion_tokens", 0)),
    )


def _wait_seconds(retry_after: str | None, number: int) -> float:
    """What the server asks for in whole seconds, else doubling."""
    if retry_after is not None and retry_after.isdecimal():
        return min(float(retry_after), _LONGEST_WAIT_SECONDS)
    return min(_FIRST_WAIT_SECONDS * 2.0**number, _LONGEST_WAIT_SECONDS)


def _server_message(body: str) -> str:
    """The server's words out of its error object, on one line."""
    try:
        error = json.loads(body)
    except ValueError:
        error = body
    for key in ("error", "message", "detail"):
        if isinstance(error, dict) and key in error:
            error = error[key]
    return " ".join(str(error).split()) or "nothing else"
