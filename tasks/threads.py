"""How many threads torch may use in this process."""

import os


def use_configured_threads() -> None:
    """Set torch to $PROVOST_THREADS threads, or to 1.

    Teams climb side by side as processes: two torch processes with two threads each on two cores
    were 1.2 to 17 times slower than with one. A stage that runs alone gets all cores (``demo``).
    """
    import torch  # noqa: PLC0415 - only where a step is about to compute

    torch.set_num_threads(int(os.environ.get("PROVOST_THREADS") or 1))
