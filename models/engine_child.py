"""The child's side of `engine_process`: holds one engine, answers its parent's batches."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from models.engine_process import Failure, Ready
from storage.errors import EngineFailed, EngineOutOfMemory, EngineUnavailable

_PARENT_POLL_SECONDS = 1.0


def serve(channel: "Connection[Any, Any]") -> None:
    """The child's side: open the station named first, then answer batches until the parent goes."""
    try:
        station = channel.recv().open()
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - every reason must reach the parent as data
        channel.send(_failure(error, starting=True))
        return
    channel.send(Ready(station.info, station.max_batch_size))
    while True:
        try:
            requests = channel.recv()
        except EOFError:
            break
        try:
            answer = station.run(requests)
        except Exception as error:  # noqa: BLE001 - every reason must reach the parent as data
            answer = _failure(error)
        channel.send(answer)
    station.close()


def _failure(error: Exception, starting: bool = False) -> Failure:
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, EngineUnavailable) or starting:
        return Failure(EngineUnavailable, str(error) or message)
    out_of_memory = isinstance(error, MemoryError | EngineOutOfMemory)
    # torch.OutOfMemoryError is known by name: this module must not import torch.
    if out_of_memory or type(error).__name__ == "OutOfMemoryError":
        return Failure(EngineOutOfMemory, message)
    return Failure(EngineFailed, str(error) if isinstance(error, EngineFailed) else message)


def _end_with(parent: int) -> None:
    """The closed channel is seen between batches; a parent lost amid one is seen here."""
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_SECONDS)
    os._exit(1)


def main() -> None:
    """Entry of the child; its only argument is the channel's file descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with suppress(BrokenPipeError):  # the parent is gone; nobody is left to tell
        serve(Connection(int(sys.argv[1])))
    sys.stderr.flush()
    os._exit(0)  # the engine is closed; taking its libraries down in order lasts seconds more


if __name__ == "__main__":
    main()
