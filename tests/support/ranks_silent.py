"""What each rank runs in ``test_lost_ranks``: one of them does not do what the other does.

``python ranks_silent.py FOLDER FAULT`` writes the code of what it raised.
"""

import sys
import time
from datetime import timedelta
from pathlib import Path

from tasks.onpolicy.distributed.collective import refuse_different
from tasks.platform.ranks import exchange, joined_ranks, rank

WAIT = timedelta(seconds=5)


def main(folder, fault):
    this_rank = 0
    try:
        with joined_ranks(WAIT):
            this_rank = rank()
            exchange("here")
            if fault == "differ":
                refuse_different("settings", f"learning rate {this_rank}")
            elif this_rank == 0:
                exchange("here")
            elif fault == "silent":
                time.sleep(30)
            else:
                sys.exit(1)
    except Exception as error:
        (folder / f"code-{this_rank}").write_text(error.code)
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
