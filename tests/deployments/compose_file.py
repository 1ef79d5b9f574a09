"""docker-compose.yml as a container engine would read it, and as processes of this machine."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deployments.children import Child

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")
_PROGRAMS = str(Path(sys.executable).parent)


def read_compose(settings: Mapping[str, str]) -> dict[str, Any]:
    """The file with the settings of an .env put in; a secret without a value is an error."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if settings.get(name):
            return settings[name]
        assert kind == "-", f"{name}: {rest}"
        return str(rest)

    read: dict[str, Any] = yaml.safe_load(
        _VARIABLE.sub(value, (ROOT / "docker-compose.yml").read_text())
    )
    return read


@dataclass(frozen=True)
class NativeServices:
    """The file's services as processes, the addresses of containers put in place.

    Attributes:
        compose: The file as read.
        addresses: What a name and port of the compose file's network are here.
        folder: For logs and what a container would keep of its own.
    """

    compose: dict[str, Any]
    addresses: Mapping[str, str]
    folder: Path

    def environment(self, service: str, **more: str) -> dict[str, str]:
        inherited = {"PATH": f"{_PROGRAMS}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        given = self.compose["services"][service].get("environment", {})
        told = {name: self._here(str(value)) for name, value in given.items()}
        home = {"PREFECT_HOME": str(self.folder / service), "HOME": str(self.folder / service)}
        return inherited | home | told | more

    def command(self, service: str) -> list[str]:
        found = [self._here(word) for word in self.compose["services"][service]["command"]]
        return [sys.executable, *found[1:]] if found[0] == "python" else found

    def run(self, service: str) -> str:
        """A service that ends; what it said."""
        done = subprocess.run(
            self.command(service),
            env=self.environment(service),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def child(self, service: str, **more: str) -> Child:
        """A service that stays."""
        log = self.folder / f"{service}.log"
        return Child(service, self.command(service), self.environment(service, **more), log)

    def health(self, service: str, **more: str) -> bool:
        """What the service's health check says, run as it is written."""
        kind, *words = self.compose["services"][service]["healthcheck"]["test"]
        assert (kind, words[0]) == ("CMD", "python")
        check = [sys.executable, *(self._here(word) for word in words[1:])]
        environment = self.environment(service, **more)
        return (
            subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0
        )

    def _here(self, text: str) -> str:
        for there, here in self.addresses.items():
            text = text.replace(there, here)
        return text
