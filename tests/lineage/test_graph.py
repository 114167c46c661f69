r"""Questions about a small family, whose answers can be read off its picture.

base -- fork -- math -- student -- later
            \-- code --/   |
             \- lost       raw prompts
"""

import pytest

from lineage.artifacts import Artifact
from lineage.errors import UnknownReferenceError
from lineage.graph.graph import Lineage
from lineage.records.record import Input
from lineage.registry.registry import Registry
from tests.support.making import take, write_record
from tests.support.refused import raised


@pytest.fixture
def family(store):
    made = {}
    made["base"] = write_record(store, b"base", kind="base")
    made["fork"] = write_record(store, b"fork", take("base", made["base"]))
    for domain in ("math", "code", "lost"):
        made[domain] = write_record(
            store, domain.encode(), take("start", made["fork"]), kind="rl", domain=domain, step=9
        )
    prompts = Input(role="prompts", artifact=store.put_bytes(b"prompts"))
    teachers = [take("teacher", made[d], name=d, weight=0.5) for d in ("math", "code")]
    made["student"] = write_record(
        store, b"student", take("student", made["fork"]), *teachers, prompts, kind="mopd"
    )
    made["later"] = write_record(store, b"later", take("student", made["student"]), kind="mopd")
    return made


@pytest.fixture
def lineage(store, family, tmp_path):
    return Lineage(store, tmp_path / "index.db")


@pytest.fixture
def names(family):
    return {record: name for name, (record, _) in family.items()}


def record_of(family, name):
    return family[name][0]


def test_ancestors_and_descendants(lineage, family, names):
    up = [names[item] for item in lineage.ancestors(record_of(family, "later"))]
    assert up[0] == "student"
    assert set(up) == {"student", "fork", "math", "code", "base"}
    down = {names[item] for item in lineage.descendants(record_of(family, "math"))}
    assert down == {"student", "later"}
    assert lineage.ancestors(record_of(family, "base")) == []


def test_a_path_is_a_shortest_one_or_empty(lineage, family, names):
    path = lineage.path(record_of(family, "base"), record_of(family, "later"))
    assert [names[item] for item in path] == ["base", "fork", "student", "later"]
    assert lineage.path(record_of(family, "lost"), record_of(family, "later")) == []
    assert lineage.path(record_of(family, "later"), record_of(family, "base")) == []
    same = record_of(family, "math")
    assert lineage.path(same, same) == [same]


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        (["math", "code", "lost"], ["fork"]),
        (["math", "later"], ["math"]),
        (["fork"], ["fork"]),
        ([], []),
    ],
)
def test_nearest_common_ancestors(lineage, family, names, asked, nearest):
    found = lineage.nearest_common_ancestors([record_of(family, name) for name in asked])
    assert [names[item] for item in found] == nearest


def test_a_subject_is_found_by_name_record_output_or_beginning(lineage, store, family):
    record, output = family["math"]
    artifact = Artifact(kind="checkpoint", digest=output, record=record)
    Registry(store).register("teacher.math", artifact, owner="team")
    for reference in ("math@1", record, output, record[:20], output.removeprefix("sha256:")[:12]):
        assert lineage.find(reference) == record
    with raised(UnknownReferenceError, "ambiguous-digest"):
        lineage.find("sha256:000000")
    with raised(UnknownReferenceError, "raw-input"):
        lineage.find(store.put_bytes(b"prompts"))


def test_a_graph_has_parents_first_and_the_stated_roles(lineage, store, family):
    record, output = family["math"]
    artifact = Artifact(kind="checkpoint", digest=output, record=record)
    Registry(store).register("teacher.math", artifact, owner="team")
    Registry(store).point("teacher.math", "released", 1, by="lead")
    graph = lineage.graph(record_of(family, "student"))
    order = [node.record for node in graph.nodes]
    assert all(order.index(edge.parent) < order.index(edge.child) for edge in graph.edges)
    assert len(graph.nodes) == 5
    teachers = {(edge.name, edge.weight) for edge in graph.edges if edge.role == "teacher"}
    assert teachers == {("math", 0.5), ("code", 0.5)}
    node = next(node for node in graph.nodes if node.record == record)
    assert (node.label, node.aliases, node.status) == ("teacher.math@1", ("released",), "active")
    assert next(n for n in graph.nodes if n.record == record_of(family, "code")).label == "code rl"


def test_the_index_catches_up_and_is_rebuilt_when_it_is_damaged(store, family, tmp_path):
    path = tmp_path / "index.db"
    before = Lineage(store, path)
    new = write_record(store, b"new", take("student", family["later"]))
    assert not before.index.has(new[0])
    assert len(Lineage(store, path).ancestors(new[0])) == 6
    path.write_bytes(b"not a database" * 1000)
    assert len(Lineage(store, path).ancestors(new[0])) == 6


def test_a_damaged_record_is_reported_and_hides_no_other(store, family, tmp_path, caplog):
    record = record_of(family, "code")
    path = store.blobs.path(record)
    path.chmod(0o644)
    path.write_bytes(b"{}")
    lineage = Lineage(store, tmp_path / "index.db")
    assert record.removeprefix("sha256:") in caplog.text
    assert len(lineage.ancestors(record_of(family, "math"))) == 2
    assert lineage.find(record) == record
