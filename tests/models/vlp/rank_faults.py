"""What processes of a run do that goes wrong; light, since each imports it anew."""

import os
import signal
import time
from pathlib import Path

from models.vlp.ranks import Ranks
from storage.errors import PlanMismatch


def die_as_the_second(ranks: Ranks) -> None:
    if ranks.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def refuse_as_the_second(ranks: Ranks) -> None:
    if ranks.number == 1:
        raise PlanMismatch("another plan")
    time.sleep(600)


def say_who_and_stay(folder: Path, ranks: Ranks) -> None:
    (folder / f"{ranks.number}.partial").write_text(str(os.getpid()))
    (folder / f"{ranks.number}.partial").rename(folder / str(ranks.number))
    time.sleep(600)
