"""MLflow as a view of the records: runs, logged models with their parents, registered models.

The records are the authority; this view can be thrown away and rebuilt (``reindex``). It is the
only package that imports MLflow, and it imports it late: MLflow takes seconds.

    showing     what steps and commands call; never raises for what goes wrong in MLflow
    runs        records as runs
    names       registry names as registered models
    lookup      experiments and logged models, found or created
    connection  the client
    tables      MLflow's own tables, made before servers start
"""

from lineage.mirror.showing import Reindexed, mirror_entry, mirror_record, reindex

__all__ = ["Reindexed", "mirror_entry", "mirror_record", "reindex"]
