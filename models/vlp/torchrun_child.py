"""One of the processes that `torchrun.py` has started: does its share, and says what failed.

python -m models.vlp.torchrun_child FOLDER      by torchrun, which names the process
"""

import pickle
import sys
from contextlib import suppress
from pathlib import Path

from models.vlp.ranks import joined, part
from models.vlp.torchrun import FAILURE_FILE, WORK_FILE, Failure, Work


def main() -> None:
    """Entry of each process; its only argument is the folder with its work."""
    folder = Path(sys.argv[1])
    work: Work = pickle.loads((folder / WORK_FILE).read_bytes())
    ranks = joined(work.device)
    try:
        work.share(ranks)
    except Exception as error:
        with suppress(FileExistsError), (folder / FAILURE_FILE).open("xb") as file:
            file.write(pickle.dumps(Failure(type(error), str(error))))
        raise
    part(ranks)


if __name__ == "__main__":
    main()
