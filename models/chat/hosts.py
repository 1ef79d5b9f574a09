"""Where an endpoint is, and whether it may be sent what derives from a restricted corpus."""

import os
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from models.chat.configs import EndpointSettings
from models.engines import EngineConfig


def address_of(config: EndpointSettings) -> str:
    """The address, read from its environment variable where the plan names one.

    Raises:
        ValueError: If that variable is not set.
    """
    address = config.address
    if address.startswith("$"):
        address = variable(address.removeprefix("$"), "the address of the endpoint")
    return address.rstrip("/")


def require_may_send(engines: Iterable[EngineConfig]) -> None:
    """Refuse to send what derives from a restricted corpus to a host nobody named for it.

    Args:
        engines: All engines of a plan whose corpus is restricted.

    Raises:
        ValueError: If one is an endpoint on another host that its `allowed_hosts` lack.
    """
    for engine in engines:
        if not isinstance(engine, EndpointSettings):
            continue
        host = urlsplit(address_of(engine)).hostname or ""
        if not _is_this_machine(host) and host not in engine.allowed_hosts:
            raise ValueError(
                "expected engines on this machine, since the plan's corpus is restricted, got "
                f"the endpoint host {host!r}; serve the model here, or name the host in that "
                "engine's allowed_hosts if the data's licence permits it"
            )


def variable(name: str, what: str) -> str:
    """What an environment variable holds.

    Raises:
        ValueError: If it is not set or empty.
    """
    if not (value := os.environ.get(name)):
        raise ValueError(f"expected {what} in the environment variable {name}, got none; set it")
    return value


def _is_this_machine(host: str) -> bool:
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
