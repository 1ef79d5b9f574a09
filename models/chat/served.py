"""A model behind an OpenAI-compatible address: does it answer, and does it serve the model?"""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException, HTTPMessage
from typing import IO

from models.chat.configs import EndpointSettings
from models.chat.hosts import address_of, variable
from storage.errors import EngineUnavailable

_ANSWER_SECONDS = 30.0


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


@dataclass(frozen=True, slots=True)
class FoundModel:
    """What a server says of a model: `root` is where it has it from, empty if it does not say."""

    root: str
    context_tokens: int | None


def served_model(config: EndpointSettings) -> ServedModel:
    """The plan's model at its address.

    Raises:
        EngineUnavailable: If nothing answers there, or it serves other models.
    """
    found = found_model(config)
    return ServedModel(address_of(config), config.model, found.context_tokens, _api_key(config))


def found_model(config: EndpointSettings) -> FoundModel:
    """What the server says of the plan's model; asked once per process.

    Raises:
        EngineUnavailable: If nothing answers there, or it serves other models.
    """
    return _ask_models(address_of(config), config.model, _api_key(config))


@lru_cache(maxsize=16)
def _ask_models(address: str, name: str, api_key: str | None) -> FoundModel:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    request = urllib.request.Request(f"{address}/models", headers=headers)
    try:
        with _opener().open(request, timeout=_ANSWER_SECONDS) as answer:
            models = {model["id"]: model for model in json.load(answer)["data"]}
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise EngineUnavailable(
            f"expected an OpenAI-compatible server at {address}, got {error}; start it, or "
            "correct its address (it mostly ends in /v1)"
        ) from error
    if name not in models:
        known = ", ".join(sorted(models)) or "none"
        raise EngineUnavailable(
            f"{address} does not serve the model {name!r} (it serves {known}); name one of those"
        )
    context_tokens = models[name].get("max_model_len")
    return FoundModel(
        root=str(models[name].get("root") or ""),
        context_tokens=context_tokens if isinstance(context_tokens, int) else None,
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the key to a host that the plan does not name."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    """Straight to the address: through no proxy, after no redirect."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())


def _api_key(config: EndpointSettings) -> str | None:
    if config.api_key_variable is None:
        return None
    return variable(config.api_key_variable, "the key of the endpoint")
