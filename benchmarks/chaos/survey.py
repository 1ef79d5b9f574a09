"""Which processes of the fleet live at this moment, and what each is there for."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"
_ORCHESTRATING = ("generate", "resume")  # how the names of their flow runs begin


class Role(StrEnum):
    """What a process does."""

    SERVER = "server"
    WORKER = "worker"
    GUARD = "guard"  # of the server or a worker
    ORCHESTRATOR = "orchestrator"
    SHARD = "shard"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class Process:
    """One live process.

    Attributes:
        name: Of its flow run, pool or dataset; an engine has that of its shard. Another process
            of the same role and name does the same work.
        dataset: That it works on; empty for server, workers and guards.
        run: Id of its flow run; empty where a command or nobody began it.
    """

    pid: int
    parent: int
    role: Role
    name: str
    dataset: str = ""
    run: str = ""


NameOfRun = Callable[[str], str | None]


def survey(url: str, name_of_run: NameOfRun) -> list[Process]:
    """All processes that were told this server's address.

    Args:
        url: The server's, as PREFECT_API_URL.
        name_of_run: Flow run's id to its name; None while the server does not say.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):  # one that ended as we looked
            told = _environment(folder)
            if told.get("PREFECT_API_URL") == url:
                words = (folder / "cmdline").read_text().split("\0")
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                run = told.get(_RUN_VARIABLE, "")
                process = _process(int(folder.name), int(stat[1]), words, run, name_of_run)
                found += [process] if process else []
    return found


def below(pid: int, processes: Iterable[Process]) -> list[Process]:
    """The processes that one has started, and those that they have, in that order."""
    known = list(processes)
    children = [one for one in known if one.parent == pid]
    return [*children, *(one for child in children for one in below(child.pid, known))]


def _environment(folder: Path) -> Mapping[str, str]:
    lines = (folder / "environ").read_text(errors="replace").split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _process(
    pid: int, parent: int, words: list[str], run: str, name_of_run: NameOfRun
) -> Process | None:
    text = " ".join(words)
    if "prefect server start" in text or "prefect worker start" in text:
        name = words[words.index("--pool") + 1] if "--pool" in words else "server"
        role = Role.SERVER if name == "server" else Role.WORKER
        return Process(pid, parent, Role.GUARD if "models.server_guard" in words else role, name)
    name = (name_of_run(run) if run else _command_of(words) or _command_above(parent)) or ""
    if (work := _role_of_work(words, name)) is None:
        return None
    return Process(pid, parent, work, name, name.split()[1], run)


def _role_of_work(words: list[str], name: str) -> Role | None:
    """Of a process that works on a dataset; None of one that does not, or not yet."""
    if not name:
        return None
    if "models.engine_child" in words:
        return Role.ENGINE
    if "prefect.engine" in words:
        return Role.ORCHESTRATOR if name.startswith(_ORCHESTRATING) else Role.SHARD
    return Role.ORCHESTRATOR if _command_of(words) else None


def _command_of(words: list[str]) -> str:
    """What `cxr-factory generate PLAN` works on; empty for others."""
    plans = [word for word in words if word.endswith(".yaml")]
    return f"command {Path(plans[0]).stem}" if "generate" in words and plans else ""


def _command_above(parent: int) -> str:
    return _command_of(Path(f"/proc/{parent}/cmdline").read_text().split("\0"))


def is_alive(pid: int) -> bool:
    """Whether a process is there that is no zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill(pid: int, number: int) -> None:
    """Send a signal; one that has ended meanwhile is left in peace."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
