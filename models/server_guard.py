"""Runs a server for as long as its standard input stays open, then ends all of its processes.

The parent holds the other end, so that a parent killed in any way leaves no server on its GPUs.

    python -m models.server_guard COMMAND [ARGUMENT ...]
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

STOP_SECONDS = 20.0  # to end by itself; then it is killed
ORPHAN_SECONDS = 10.0  # the same, of what it left behind
_POLL_SECONDS = 0.1
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2), Linux
_NOT_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the parent's to handle: it ends us


def main() -> int:
    """Entry of the guard; gives the server's exit status, 128 + N for signal N."""
    for number in _NOT_OURS:
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the server would inherit
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # its orphans become our children
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    status = server.wait()
    _signal_all(server, signal.SIGKILL)  # what it left behind still holds its GPUs
    _wait_for_all(server)
    _end_orphans()
    return status if status >= 0 else 128 - status


def _stop_at_end_of_input(server: "subprocess.Popen[bytes]") -> None:
    while os.read(sys.stdin.fileno(), 1):
        continue  # nothing is ever said; the end of it is what counts
    _signal_all(server, signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_all(server, signal.SIGKILL)


def _signal_all(server: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """The server is the leader of a process group that its workers are in."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, number)


def _wait_for_all(server: "subprocess.Popen[bytes]") -> None:
    """A killed process is gone only once it was waited for: who sees us end may use its GPUs."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-server.pid, 0)


def _end_orphans() -> None:
    """End what it started in sessions of their own, which are our children since it ended.

    They are asked first: a flow run then still reports how it ended.
    """
    asked: set[int] = set()
    deadline = time.monotonic() + ORPHAN_SECONDS
    while orphans := _children():
        for pid in orphans:
            with suppress(ProcessLookupError):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                elif pid not in asked:
                    os.kill(pid, signal.SIGTERM)
            asked.add(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_POLL_SECONDS)


def _children() -> list[int]:
    """Processes whose parent we are; none where there is no /proc (then none is given to us)."""
    ours = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # one that ended as we looked
            pid_and_name, _, rest = entry.read_text(errors="replace").rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                ours.append(int(pid_and_name.split(maxsplit=1)[0]))
    return ours


if __name__ == "__main__":
    sys.exit(main())
