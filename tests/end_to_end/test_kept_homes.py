"""The next test gets the copy of a home that was only read, and else a copy as new."""

import pytest

from lineage.records.record import Records
from lineage.store.store import home, open_store
from tests.support.kept_homes import KeptHomes
from tests.support.making import checkpoint, write_record
from tests.support.refusals import flip
from tests.support.tiny_faculty import home_at


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    with home_at(folder):
        store = open_store()
        tree = store.put_tree(checkpoint(tmp_path / "made"))
        write_record(store, b"", kind="base", output=tree)
    (folder / "mlflow.db").write_text("as it was made")
    return folder


@pytest.fixture
def lend(tmp_path, source, monkeypatch):
    """Return a function that lends a copy, acts in it, and returns its files' inodes."""
    (tmp_path / "kept").mkdir()
    homes, target = KeptHomes(tmp_path / "kept"), tmp_path / "home"
    monkeypatch.setenv("PROVOST_HOME", str(target))

    def lend(act):
        with homes.lent(source, target):
            before = {path: path.stat().st_ino for path in (target / "store" / "keys").rglob("*")}
            assert (target / "mlflow.db").read_text() == "as it was made"
            act(open_store())
        if target.exists():
            target.rename(tmp_path / f"left {len(list(tmp_path.iterdir()))}")
        return before

    return lend


def trees(store):
    records = Records(store)
    return [records.output(record).output for record in records.all()]


def read(store):
    [tree] = trees(store)
    assert (store.tree(tree) / "config.json").is_file()
    (home() / "mlflow.db").write_text("with runs")


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.put_bytes(b"another blob"),
        lambda store: write_record(store, b"another", kind="sft"),
        lambda store: flip(trees(store)[0], "config.json"),
    ],
    ids=["a blob", "a record", "a flipped bit"],
)
def test_what_was_written_into_is_copied_anew(lend, write):
    first = lend(read)
    assert lend(write) == first  # it was only read
    again = lend(read)
    assert again.keys() == first.keys()
    assert again != first
