"""A real HTTP server that speaks as an OpenAI-compatible one and answers as it is told."""

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

FINDINGS = "There is a left pleural effusion."
IMPRESSION = "Left pleural effusion."


def completion(text: str | None, finish: str = "stop", prompt_tokens: int = 300) -> web.Response:
    """A chat completion as the servers send it."""
    message = {"role": "assistant", "content": text}
    return web.json_response(
        {
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": 7},
        }
    )


def error(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


async def good(asked: dict[str, Any]) -> web.StreamResponse:
    """FINDINGS when given items, else their IMPRESSION, or both where a schema is given."""
    if "response_format" in asked:
        return completion(json.dumps({"findings": FINDINGS, "impression": IMPRESSION}))
    is_findings = "Items:" in asked["messages"][1]["content"]
    return completion(FINDINGS if is_findings else IMPRESSION)


_ITEM = re.compile(r"^- ([^:]+): (\w+)[^,\n]*(?:, severity (\w+))?(?:, place (.+))?$", re.MULTILINE)


async def truthful(asked: dict[str, Any]) -> web.StreamResponse:
    """A plain sentence per item, as a good model would; the IMPRESSION repeats the first."""
    prompt = asked["messages"][1]["content"]
    if prompt.startswith("FINDINGS: "):
        return completion(prompt.removeprefix("FINDINGS: ").split(".")[0] + ".")
    sentences = []
    for text, status, severity, place in _ITEM.findall(prompt):
        where = f" in the {place}" if place else ""
        sentences.append(
            {
                "present": f"There is {severity} {text}{where}.",
                "possible": f"Possible {severity} {text}{where}.",
                "absent": f"No {text}{where}.",
            }.get(status, f"The {text} is unremarkable.")
        )
    return completion(" ".join(sentences))


# None: the connection is cut, as by a server that dies.
Answer = Callable[[dict[str, Any]], Awaitable[web.StreamResponse | None]]


@dataclass
class FakeServer:
    """What it was asked, and how it answers; `answer` may be changed while it runs."""

    answer: Answer = good
    models: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": "tiny", "root": "/tiny", "max_model_len": 4096}]
    )
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_in_flight: int = 0
    in_flight: int = 0
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def written(self) -> list[dict[str, Any]]:
        """What was asked beyond the first tokens that opening asks for."""
        return [asked for asked in self.asked if asked["max_tokens"] > 1]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.asked.append(asked)
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if asked["max_tokens"] == 1 and self.answer is not refuse:
                return completion("The", "length")
            answer = await self.answer(asked)
            if answer is None:
                assert request.transport is not None
                request.transport.abort()
            return answer or web.Response()
        finally:
            self.in_flight -= 1

    async def list_models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": self.models})


async def refuse(_: dict[str, Any]) -> web.StreamResponse:
    """As vLLM does for a model without a chat template, at the first request already."""
    return error(400, "default chat template is no longer allowed")


@contextmanager
def serving(server: FakeServer) -> Iterator[Callable[[], None]]:
    """Run it in a thread; gives a function that ends it."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_get("/v1/models", server.list_models)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", server.port)
        await site.start()
        server.port = runner.addresses[0][1]
        ready.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    def end() -> None:
        if thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield end
    finally:
        end()
