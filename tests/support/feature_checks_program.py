"""What each rank runs in ``test_feature_checks``: record features, and write the metrics.

``torchrun feature_checks_program.py FOLDER``
"""

import json
import sys
from pathlib import Path

from tasks.onpolicy.feature_checks import FeatureCheck, FeatureChecks
from tasks.platform.ranks import joined_ranks, rank

if __name__ == "__main__":
    with joined_ranks():
        checks = FeatureChecks(
            FeatureCheck(name, must_bind=True, where="here", remedy="none")
            for name in ("mask", "clip")
        )
        for _ in range(rank() + 1):
            checks.record("mask", 1.0 + 3.0 * rank())
        if rank() == 1:
            checks.record("clip", 0.5)
        metrics = checks.end_step(1)
        checks.end_step(2)  # each feature bound on some rank
        Path(sys.argv[1], f"{rank()}.json").write_text(json.dumps(metrics), "utf-8")
