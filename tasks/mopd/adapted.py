"""Checkpoints that adapters were merged into, taken apart again: teachers then share their base."""

from dataclasses import replace

from lineage.artifacts import Artifact
from lineage.record import Records
from lineage.store import Store
from tasks.mopd.pool.checkpoint import Checkpoint
from tasks.mopd.pool.source import TeacherSource, WeightSource, digest_folder
from tasks.onpolicy.result import ADAPTER

_STARTS = {"start", "student"}
"""The roles in which the record of a climb, or of a round, names what it trained."""


def source_of(store: Store, name: str, model: Artifact) -> TeacherSource:
    """Return where a teacher's weights lie: its checkpoint's folder, whole."""
    return TeacherSource(name, model.digest, store.tree(model.digest))


def apart(store: Store, source: TeacherSource, model: Artifact) -> TeacherSource:
    """Return the teacher as adapters beside what it was trained from, where it was trained so.

    A LoRA student is released merged, with its A and B beside the merged weights. Teachers that
    began as the same checkpoint, and a precursor or start that is asked as well, are then one set
    of weights. What they say differs from the merged by rounding alone, so a base that was saved
    in another precision than the merged weights is left to itself; so is one that is gone.
    """
    folder = source.folder / ADAPTER
    if not folder.is_dir() or not model.record:
        return source
    inputs = Records(store).read(model.record).inputs
    starts = [item.artifact for item in inputs if item.role in _STARTS]
    if len(starts) != 1 or not store.has(starts[0]):
        return source
    base = WeightSource(starts[0], store.tree(starts[0]))
    if Checkpoint(base.folder).header != Checkpoint(source.folder).header:
        return source
    return replace(source, digest=digest_folder(folder), folder=folder, base=base)
