"""MLflow as a view of the records: runs, logged models with their parents, registered models.

The records are the authority; this view can be thrown away and rebuilt (``reindex``). It is the
only package that imports MLflow, and it imports it late: MLflow takes seconds.

    showing     what steps and commands call; never raises for what goes wrong in MLflow
    runs        records as runs, their descriptions in story
    live        runs of steps at work, and the thread that shows them
    names       registry names as registered models, their descriptions in cards
    lookup      experiments and logged models, found or created
    run_view    what a record looks like in MLflow, as values
    connection  where MLflow is, and its client
    tables      MLflow's own tables, made before servers start
"""

from lineage.mirror.showing import Reindexed, live_run, mirror_entry, mirror_record, reindex

__all__ = ["Reindexed", "live_run", "mirror_entry", "mirror_record", "reindex"]
