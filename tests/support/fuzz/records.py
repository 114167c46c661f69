"""Readers of records, attestations, registry slots, waivers and what is derived from them."""

import base64
import json
import sqlite3

from lineage.digest import canonical_json, digest_bytes, digest_json
from lineage.dsse import SigningKey, sign
from lineage.errors import LineageError
from lineage.graph.tables import SCHEMA, insert_attestation, insert_record
from lineage.launches.waiver import _parse
from lineage.mirror.run_view import metrics_of, view_of
from lineage.records.record import Attestation, Derivation
from lineage.registry.slots import Entry, Event, Move
from lineage.store.documents import parse_named, unseal
from lineage.trust.root import Team, TrustedKey, TrustRoot
from lineage.trust.statement import StatementPlace, make_statement, read_statement
from tests.support.fuzz.fuzzing import Parser
from tests.support.fuzz.mutations import mutated_json
from tests.support.making import SOURCE, TIME

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
RECORD = {
    "kind": "rl",
    "inputs": [
        {"role": "start", "artifact": A, "record": B, "weight": None, "name": ""},
        {"role": "teacher", "artifact": B, "record": "", "weight": 0.5, "name": "math"},
    ],
    "source": SOURCE,
    "settings": {"loop": {"num_steps": 40, "rate": 1e-5}, "domain": "math", "stop_at": 20},
    "seed": 7,
}
ATTESTATION = Attestation(
    derivation=A, output=B, output_kind="checkpoint", started=TIME, finished=TIME, owner="team",
    notes={"domain": "math", "confinement": {"math": {"network_cut": True}}}, metrics=A,
).model_dump(mode="json")  # fmt: skip
ENTRY = {
    "name": "teacher.math", "version": 1, "kind": "release", "digest": A, "record": B,
    "owner": "team", "created": TIME, "note": "",
}  # fmt: skip
MOVE = {"alias": "released", "version": 1, "by": "ann", "reason": "", "at": TIME}
EVENT = {"action": "recall", "version": 1, "by": "ann", "reason": "leaked", "at": TIME}
WAIVER = {
    "plan": A, "findings": [{"code": "unsigned", "subject": "teacher.math@1"}], "reason": "known",
    "at": TIME,
}  # fmt: skip
STORE, KEY = "a" * 32, SigningKey.generate()
TRUST = TrustRoot(
    store=STORE,
    teams={"ann": Team(names=["*"], keys=[TrustedKey(public=KEY.public, since=TIME)])},
)
PLACE = StatementPlace(
    store=STORE,
    project="ann",
    path="registry/teacher.math/versions",
    number=1,
    previous="",
    at=TIME,
)
ENVELOPE = json.loads(make_statement(Entry.model_validate(ENTRY), PLACE, KEY))
STATED = json.loads(base64.b64decode(ENVELOPE["payload"]))
WAIVED = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "plan", "digest": {"sha256": "a" * 64}}],
    "predicateType": "urn:provost:waiver:1",
    "predicate": {"store": STORE, **WAIVER},
}
METRICS = [{"step": 1, "name": "reward", "value": 0.5, "source": "math"}]


class OneBlob:
    """A store that holds one blob under every digest."""

    def __init__(self, data):
        self._data = data

    def get_bytes(self, _digest):
        return self._data

    def read_key(self, _key):
        return self._data


def record(data):
    """Read a record and an attestation of it, show them and put them into an index."""
    derivation = parse_named(data, digest_bytes(data), "records/x", Derivation)
    _use(derivation, Attestation.model_validate(ATTESTATION))


def attestation(data):
    read = parse_named(data, digest_bytes(data), "attestations/x", Attestation)
    _use(Derivation.model_validate(RECORD), read)


def _use(derivation, said):
    view_of(derivation.digest(), derivation, said)
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(SCHEMA)
        insert_record(connection, derivation.digest(), derivation)
        insert_attestation(connection, "x/00000001", said)


def sealed(model):
    """Return a reader of slots whose document was sealed by whoever wrote it."""

    def parse(data):
        try:
            body = json.loads(data)
            data = canonical_json({"body": body, "digest": digest_json(body)})
        except (ValueError, RecursionError):
            pass  # then it is not sealed
        unseal(data, "registry/x", model)

    return parse


def signed(read):
    """Return a reader of envelopes whose payload was signed by whoever wrote it."""
    return lambda data: read(sign(data, KEY).to_bytes())


def waiver(data):
    _parse(A, data, STORE)


def statement(data):
    read_statement(data, PLACE.key, Entry, TRUST)


def metrics(data):
    said = Attestation.model_validate(ATTESTATION)
    metrics_of(OneBlob(data), said)


OURS = (LineageError,)
PARSERS = {
    "record": Parser(mutated_json(RECORD), record, OURS),
    "attestation": Parser(mutated_json(ATTESTATION), attestation, OURS),
    "entry": Parser(mutated_json(ENTRY), sealed(Entry), OURS),
    "move": Parser(mutated_json(MOVE), sealed(Move), OURS),
    "event": Parser(mutated_json(EVENT), sealed(Event), OURS),
    "waiver": Parser(mutated_json(WAIVED), signed(waiver), OURS),
    "statement": Parser(mutated_json(STATED), signed(statement), OURS),
    "envelope": Parser(mutated_json(ENVELOPE), statement, OURS),
    "metrics": Parser(mutated_json(*METRICS), metrics, OURS),
}
