"""A family with real manifests: what the picture and the record check learn from them."""

import json

import pytest

from lineage.artifacts import Artifact, Student, TeacherShare, put_manifest
from lineage.compatibility.checks import Start, check
from lineage.compatibility.collect import collect
from lineage.digest import digest_bytes
from lineage.errors import CorruptError
from lineage.graph.graph import Lineage
from lineage.registry.registry import Registry
from lineage.view.fold import fold, models_only
from tests.support.making import MINE, checkpoint, release_of, take, write_record

TOKENIZER, TEMPLATE = digest_bytes(b"tokenizer"), digest_bytes(b"template")
TOKENS = {"math": 300, "code": 100}


@pytest.fixture
def family(store, tmp_path):
    """Fork point, two climbs of an SFT and two rungs, their releases, a student of both."""

    def model(name, *inputs, **more):
        tree = store.put_tree(checkpoint(tmp_path / name, name.encode()))
        return write_record(store, b"", *inputs, output=tree, **more)

    made = {"fork": model("fork", kind="sft")}
    rows = store.put_bytes(b"rows")
    for domain in TOKENS:
        sft = model(f"{domain} sft", take("start", made["fork"]), kind="sft")
        rungs = [
            model(f"{domain} {step}", take("start", sft), kind=kind, stop_at=step)
            for step, kind in ((1, "rung"), (2, "rl"))
        ]
        card = store.put_bytes(json.dumps({"overall": {"teacher": {"mean": 0.75}}}).encode())
        release = release_of(
            domain,
            checkpoint=rungs[1][1],
            rung=rungs[0][1],
            fork_point=made["fork"][1],
            precursor=sft[1],
            tokenizer=TOKENIZER,
            template=TEMPLATE,
            scorecard=card,
            **dict.fromkeys(
                ("environment", "sft", "train", "validation", "evaluation", "sketches"), rows
            ),
        )
        point = Artifact(kind="checkpoint", digest=rungs[1][1], record=rungs[1][0])
        digest = put_manifest(store, release.model_copy(update={"checkpoint": point}))
        parts = [take("checkpoint", rungs[1]), take("ladder[1]", rungs[0])]
        parts += [take("precursor", sft), take("fork_point", made["fork"])]
        made[f"{domain} release"] = write_record(
            store, b"", *parts, kind="release", output=digest, output_kind="release"
        )
        made[domain] = rungs[1]
        record, output = made[f"{domain} release"]
        artifact = Artifact(kind="release", digest=output, record=record)
        Registry(store).register(f"teacher.{domain}", artifact, owner=f"{domain}-team")
    teachers = [take("teacher", made[domain], name=domain) for domain in TOKENS]
    made["mopd"] = model("mopd", take("student", made["fork"]), *teachers, kind="mopd")
    made["average"] = model("average", *teachers, kind="merge")
    made["student"] = published(store, made, rows)
    return made


def published(store, made, rows):
    def artifact(name):
        return Artifact(kind="checkpoint", digest=made[name][1], record=made[name][0])

    shares = [
        TeacherShare(
            domain=domain,
            release=made[f"{domain} release"][1],
            reference=f"teacher.{domain}@1",
            weight=1.0,
            tokens_routed=tokens,
        )
        for domain, tokens in TOKENS.items()
    ]
    student = Student(
        checkpoint=artifact("mopd"),
        fork_point=artifact("fork"),
        teachers=tuple(shares),
        settings={},
        scorecard=Artifact(kind="scorecard", digest=rows),
        controls={"parameter_average": artifact("average")},
        plan=rows,
        owner="consolidation",
    )
    parts = [take("checkpoint", made["mopd"]), take("controls.average", made["average"])]
    parts += [take(f"release.{domain}", made[f"{domain} release"]) for domain in TOKENS]
    return write_record(
        store,
        b"",
        *parts,
        kind="student",
        output=put_manifest(store, student),
        output_kind="student",
    )


@pytest.fixture
def lineage(store, family, tmp_path):
    return Lineage(store, tmp_path / "index.db")


def test_the_graph_learns_domains_scores_and_token_shares(lineage, family):
    graph = lineage.graph(family["student"][0])
    nodes = {node.record: node for node in graph.nodes}
    assert nodes[family["math"][0]].label == "math rl"
    assert nodes[family["math release"][0]].score == 0.75
    # 300 and 100 of 400 tokens
    shares = {e.name: e.weight for e in graph.edges if e.child == family["mopd"][0] and e.name}
    assert shares == {"math": 0.75, "code": 0.25}


def test_the_picture_goes_through_the_releases_and_leaves_the_controls_out(lineage, family):
    boxes, lines = fold(models_only(lineage.graph(family["student"][0])))
    drawn = {box.node.record for box in boxes}
    assert family["average"][0] not in drawn
    pairs = {(line.parent, line.child) for line in lines}
    for domain in TOKENS:
        assert (family[f"{domain} release"][0], family["mopd"][0]) in pairs
        assert (family[domain][0], family["mopd"][0]) not in pairs
        assert (family[f"{domain} release"][0], family["student"][0]) not in pairs


REFERENCES = ("teacher.code@1", "teacher.math@1")


def refusals(candidates, start):
    found = check(candidates, start)
    return [(f.code, f.subject) for f in found if f.severity == "refusal"]


def test_what_fits_by_record_fits(store, lineage, family):
    candidates = collect(store, {"math": "math@1", "code": "code@latest"})
    start = Start(family["fork"][1], TOKENIZER, TEMPLATE)
    assert check(candidates, start) == []
    assert candidates["code"].reference == "teacher.code@1"
    other = Start(family["math"][1], TOKENIZER, TEMPLATE)
    assert refusals(candidates, other) == [("other-fork-point", name) for name in REFERENCES]


def test_a_recalled_teacher_and_one_that_descends_from_it_are_refused(store, lineage, family):
    registry = Registry(store)
    registry.recall("teacher.math", 1, by="lead", reason="leak")
    start = Start(family["fork"][1], TOKENIZER, TEMPLATE)
    found = check(collect(store, {"math": "math@1", "code": "code@1"}), start)
    [finding] = [finding for finding in found if finding.severity == "refusal"]
    assert (finding.code, finding.subject) == ("recalled-input", "teacher.math@1")
    assert "leak" in finding.evidence
    fork = Artifact(kind="checkpoint", digest=family["fork"][1], record=family["fork"][0])
    registry.register("fork-point", fork, owner="foundation")
    registry.recall("fork-point", 1, by="lead", reason="wrong data")
    found = check(collect(store, {"code": "code@1"}), start)
    assert [f.code for f in found if f.severity == "refusal"] == ["recalled-input"]
    assert "an ancestor: fork-point@1 was recalled: wrong data" in found[0].evidence


@pytest.mark.parametrize(("name", "concerns_them"), [("fork-point", True), ("elsewhere", False)])
def test_unreadable_recalls_count_where_a_teacher_descends_from_them(
    store, family, name, concerns_them
):
    record, digest = family["fork"] if concerns_them else write_record(store, b"other", kind="base")
    artifact = Artifact(kind="checkpoint", digest=digest, record=record)
    Registry(store).register(name, artifact, owner="foundation")
    store.claim(f"{MINE}/registry/{name}/events/00000001", b"garbage")
    references = {domain: f"{domain}@1" for domain in TOKENS}
    if concerns_them:
        with pytest.raises(CorruptError):
            collect(store, references)
    else:
        assert {item.recalled for item in collect(store, references).values()} == {""}
