"""An endpoint's config: what is said before work is spent, and to whom restricted text may go."""

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from models.chat import served
from models.chat.hosts import require_may_send
from models.engines import WriteRequest, engine_config
from models.writers.configs import GrammarConfig
from models.writers.language_model.configs import EndpointConfig
from storage.errors import EngineUnavailable
from storage.records import Report, View
from tests.models.chat.fake_server import (
    FINDINGS,
    IMPRESSION,
    FakeServer,
    serving,
)
from tests.models.chat.opened import opened


@pytest.fixture(autouse=True)
def _ask_anew() -> None:
    served._ask_models.cache_clear()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    with serving(fake):
        yield fake


def config_at(address: str, **changes: Any) -> EndpointConfig:
    settings = {"kind": "endpoint", "address": address, "model": "tiny"}
    config = engine_config("writers", settings | changes)
    assert isinstance(config, EndpointConfig)
    return config


def test_endpoint_named_in_a_plan_writes(server: FakeServer) -> None:
    writer = config_at(server.address).open()
    with opened(writer) as ask:
        (written,) = ask(writer.write, [WriteRequest("s", 1, (), View.PA)])
    assert written.report == Report(FINDINGS, IMPRESSION)
    assert not writer.info.deterministic


def test_revision_is_of_model_root_and_prompts_not_of_the_address(server: FakeServer) -> None:
    revision = config_at(server.address).revision()
    other = FakeServer()
    with serving(other):
        assert config_at(other.address).revision() == revision
    moved = FakeServer(models=[{"id": "tiny", "root": "/elsewhere", "max_model_len": 4096}])
    with serving(moved):
        assert config_at(moved.address).revision() != revision


def test_address_from_the_environment_leaves_the_plan_the_same(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_ADDRESS", server.address + "/")
    config = config_at("$LLM_ADDRESS")
    with opened(config.open()):
        assert server.asked
    assert config.model_dump(mode="json")["address"] == "$LLM_ADDRESS"


def test_key_is_sent_and_stands_in_no_plan(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_KEY", "secret-1")
    config = config_at(server.address, api_key_variable="LLM_KEY")
    with opened(config.open()):
        assert server.asked
    assert server.headers[0]["Authorization"] == "Bearer secret-1"
    assert "secret-1" not in config.model_dump_json()


@pytest.mark.parametrize("variable", ["address", "api_key_variable"])
def test_variable_that_is_not_set_is_said(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_MISSING", raising=False)
    value = "$LLM_MISSING" if variable == "address" else "LLM_MISSING"
    config = config_at("http://127.0.0.1:9/v1").model_copy(update={variable: value})
    with pytest.raises(ValueError, match="environment variable LLM_MISSING, got none; set it"):
        config.revision()


def test_nothing_listening_is_said_before_work_is_spent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(EngineUnavailable, match=r"expected an OpenAI-compatible server at"):
            config_at(address).revision()


def test_server_without_the_interface_is_said(server: FakeServer) -> None:
    with pytest.raises(EngineUnavailable, match="it mostly ends in /v1"):
        config_at(server.address.removesuffix("/v1")).revision()


def test_model_that_is_not_served_is_said_with_those_that_are(server: FakeServer) -> None:
    with pytest.raises(EngineUnavailable, match=r"does not serve .*'huge' \(it serves tiny\)"):
        config_at(server.address, model="huge").revision()


def test_context_that_the_server_states_is_held(server: FakeServer) -> None:
    server.models[0]["max_model_len"] = 512
    writer = config_at(server.address).open()
    with pytest.raises(EngineUnavailable, match="context of 512 tokens"), opened(writer):
        pass


@pytest.mark.parametrize(
    "address",
    ["ftp://x/v1", "127.0.0.1:8000", "http://user@host/v1", "http://a\\@b/v1", "http://h/v1?k=1"],
)
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        config_at(address)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/v1", "http://localhost/v1", "https://[::1]:8000/v1"]
)
def test_restricted_text_may_go_to_this_machine(address: str) -> None:
    require_may_send([GrammarConfig(), config_at(address)])


@pytest.mark.parametrize(
    "address",
    ["http://llm.example.org/v1", "http://10.0.0.7:8000/v1", "http://localhost.example.org/v1"],
)
def test_restricted_text_to_another_host_is_refused_unless_named(address: str) -> None:
    with pytest.raises(ValueError, match=r"corpus is restricted, got the endpoint host"):
        require_may_send([config_at(address)])
    host = urlsplit(address).hostname
    require_may_send([config_at(address, allowed_hosts=(host,))])


def test_restricted_text_to_an_address_from_the_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLM_ADDRESS", "https://llm.example.org/v1")
    with pytest.raises(ValueError, match=r"llm\.example\.org"):
        require_may_send([config_at("$LLM_ADDRESS")])
