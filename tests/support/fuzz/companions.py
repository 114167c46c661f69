"""Readers of manifests and of the documents that stand beside them."""

import json

from lineage.artifacts import Release, Student, parse_manifest
from lineage.compatibility.sketch import read_sketch, sketch
from lineage.digest import digest_bytes
from lineage.errors import LineageError
from lineage.store.tree import Tree, TreeFile, parse_tree
from tasks.gate.refork import read_refork
from tests.support.fuzz.fuzzing import Parser
from tests.support.fuzz.mutations import mutated_json
from tests.support.fuzz.records import A, OneBlob
from tests.support.making import release_of

RELEASE = release_of("math").model_dump(mode="json")
PART = {"kind": "checkpoint", "digest": A, "record": ""}
SHARE = {
    "domain": "math", "release": A, "reference": "teacher.math@1", "weight": 1.0,
    "tokens_routed": 9,
}  # fmt: skip
STUDENT = Student(
    checkpoint=PART, fork_point=PART, settings={"loss": "reverse"},
    teachers=[SHARE], scorecard=PART | {"kind": "scorecard"}, controls={"average": PART}, plan=A,
    waivers=[A], owner="team",
).model_dump(mode="json")  # fmt: skip
TREE = Tree(
    (TreeFile("config.json", 2, A), TreeFile("model.safetensors", 9, A), TreeFile("x/y", 1, A))
)
SKETCH = sketch(["a row of six or seven words", "another"]).model_dump(mode="json")
REFORK = {
    "teacher": "teacher.math@1", "domain": "math", "owner": "team", "reasons": ["[a] b"],
    "team": "math", "launch_plan": "l", "inputs": {"fork_point": A, "seed": 0},
    "trained": [{"kind": "sft", "record": A, "seed": 1, "settings": {"rate": 1.0}}],
}  # fmt: skip


def tree(data):
    parse_tree(data, digest_bytes(data))


OURS = (LineageError,)
PARSERS = {
    "release": Parser(mutated_json(RELEASE), lambda data: parse_manifest(data, Release), OURS),
    "student": Parser(mutated_json(STUDENT), lambda data: parse_manifest(data, Student), OURS),
    "tree": Parser(mutated_json(json.loads(TREE.to_bytes())), tree, OURS),
    "sketch": Parser(mutated_json(SKETCH), lambda data: read_sketch(OneBlob(data), A), OURS),
    "refork": Parser(mutated_json(REFORK), read_refork, OURS),
}
