"""Records: identity, what is refused at writing, and how finished work is found."""

import pytest
from pydantic import ValidationError

from lineage.errors import (
    ConflictingOutputsError,
    CorruptError,
    MissingBlobError,
    NoRecordError,
    NotEntitledError,
    RecordRefusedError,
    TrustRootError,
)
from lineage.records.derivation import Sample, metrics_blob
from lineage.records.record import Attestation, Derivation, Input, Records
from tests.support.refused import raised

SOURCE = "sha256:" + "a" * 64


def derive(*inputs: Input, kind="sft", seed=0, project="", **settings) -> Derivation:
    more = {"source": SOURCE, "settings": settings, "seed": seed, "project": project}
    return Derivation(kind=kind, inputs=inputs, **more)


def attest(derivation: Derivation, output: str, finished: str = "", **more) -> Attestation:
    return Attestation(
        derivation=derivation.digest(),
        output=output,
        output_kind="checkpoint",
        finished=finished,
        **more,
    )


@pytest.fixture
def records(store) -> Records:
    return Records(store)


def make(records, store, data: bytes, *inputs: Input, **more) -> tuple[str, str]:
    """Write a record that turns ``inputs`` into ``data``; return (record, output)."""
    output = store.put_bytes(data)
    derivation = derive(*inputs, **more)
    return records.write(derivation, attest(derivation, output)), output


def test_identity_is_the_derivation_and_not_what_happened(store):
    data = store.put_bytes(b"rows")
    one = derive(Input(role="data", artifact=data), rate=0.1)
    assert one.digest() == derive(Input(role="data", artifact=data), rate=0.1).digest()
    others = [
        derive(Input(role="prompts", artifact=data), rate=0.1),
        derive(Input(role="data", artifact=data, weight=0.5), rate=0.1),
        derive(Input(role="data", artifact=data), rate=0.2),
        derive(Input(role="data", artifact=data), rate=0.1, seed=1),
        derive(Input(role="data", artifact=data), rate=0.1, kind="rl"),
        derive(rate=0.1),
    ]
    assert len({one.digest(), *(other.digest() for other in others)}) == 7


def test_a_record_is_read_back_by_a_new_process_as_it_was_written(store, records):
    record, output = make(records, store, b"weights")
    assert Records(store).read(record) == derive(project="local")
    assert Records(store).output(record).output == output
    assert Records(store).all() == [record]


def test_a_rerun_finds_the_finished_output_and_nothing_else(store, records):
    derivation = derive(project="local")
    assert records.finished(derivation.digest()) is None
    output = store.put_bytes(b"weights")
    records.write(derivation, attest(derivation, output))
    assert records.finished(derivation.digest()).output == output
    assert records.finished(derive(seed=1, project="local").digest()) is None


def test_an_output_that_was_removed_is_not_offered(store, records):
    record, output = make(records, store, b"weights")
    store.blobs.path(output).unlink()
    assert records.output(record) is None
    assert len(records.attestations(record)) == 1


def test_writing_the_same_twice_changes_nothing(store, records):
    assert make(records, store, b"weights") == make(records, store, b"weights")
    assert len(records.attestations(records.all()[0])) == 1


def test_several_derivations_may_give_one_output(store, records):
    one, output = make(records, store, b"weights", seed=0)
    two, same = make(records, store, b"weights", seed=1)
    assert one != two
    assert output == same


@pytest.fixture
def two_outputs(store, records):
    """One derivation, its first output, and another one that is stored but not attested."""
    derivation = derive(project="local")
    first, second = store.put_bytes(b"first"), store.put_bytes(b"second")
    records.write(derivation, attest(derivation, first))
    return derivation, first, second


def test_another_output_of_the_same_derivation_is_refused(records, two_outputs):
    derivation, first, second = two_outputs
    with pytest.raises(ConflictingOutputsError):
        records.write(derivation, attest(derivation, second))
    assert records.finished(derivation.digest()).output == first


def test_a_lost_output_is_replaced_by_what_is_made_anew(store, records, two_outputs):
    derivation, first, second = two_outputs
    store.blobs.path(first).unlink()
    records.write(derivation, attest(derivation, second))
    assert records.finished(derivation.digest()).output == second
    store.put_bytes(b"first")  # found again in a backup: it was replaced all the same
    assert records.finished(derivation.digest()).output == second
    assert records.nondeterministic(derivation.digest()) == tuple(sorted([first, second]))


def test_a_person_says_which_of_two_outputs_counts(store, records, two_outputs):
    derivation, first, second = two_outputs
    record = derivation.digest()
    store.blobs.path(first).unlink()
    records.write(derivation, attest(derivation, second))
    store.put_bytes(b"first")
    records.keep(record, first, "the second was made on a broken machine")
    assert Records(store).finished(record).output == first
    with pytest.raises(RecordRefusedError):
        records.keep(record, store.put_bytes(b"third"), "never given")


def test_two_valid_outputs_of_one_derivation_are_refused(store, records, two_outputs):
    derivation, _, second = two_outputs
    path = f"attestations/{derivation.digest()[7:]}"
    slots = records.journal.slots("local", path, Attestation)
    slots.append(lambda _, __: attest(derivation, second))  # as a writer that never looked
    with pytest.raises(ConflictingOutputsError):
        records.finished(derivation.digest())


def test_a_dangling_input_is_refused(store, records):
    absent = Input(role="data", artifact="sha256:" + "0" * 64)
    with raised(RecordRefusedError, "missing-input", "'data'"):
        make(records, store, b"weights", absent)
    assert records.all() == []


def test_an_input_of_an_unknown_record_is_refused(store, records):
    data = store.put_bytes(b"rows")
    with raised(RecordRefusedError, "missing-input-record"):
        make(records, store, b"w", Input(role="data", artifact=data, record="sha256:" + "0" * 64))


def test_an_input_that_its_record_never_made_is_refused(store, records):
    record, _ = make(records, store, b"weights")
    other = store.put_bytes(b"other")
    with raised(RecordRefusedError, "never-gave"):
        make(records, store, b"w", Input(role="student", artifact=other, record=record))


def test_an_output_that_is_not_in_the_store_is_refused(records):
    derivation = derive()
    with raised(RecordRefusedError, "missing-document", "output"):
        records.write(derivation, attest(derivation, "sha256:" + "0" * 64))


def test_an_attestation_of_another_derivation_is_refused(store, records):
    output = store.put_bytes(b"weights")
    with raised(RecordRefusedError, "other-derivation"):
        records.write(derive(), attest(derive(seed=1), output))


def test_a_cycle_is_refused(store, records):
    raw = store.put_bytes(b"a")
    record, output = make(records, store, b"b", Input(role="base", artifact=raw))
    middle, between = make(
        records, store, b"c", Input(role="base", artifact=output, record=record), kind="rl"
    )
    with raised(RecordRefusedError, "cycle"):
        make(records, store, b"a", Input(role="base", artifact=between, record=middle), kind="rl")
    assert len(records.all()) == 2


def test_a_recorded_start_may_come_out_again(store, records):
    base, weights = make(records, store, b"a", kind="base")
    record, output = make(records, store, b"b", Input(role="x", artifact=weights, record=base))
    make(records, store, b"a", Input(role="x", artifact=output, record=record), kind="merge")
    assert len(records.all()) == 3


def test_a_flipped_byte_in_a_record_or_an_attestation_is_found(store, records):
    record, _ = make(records, store, b"weights")
    for key in store.keys(""):
        path = store._keys / key
        good = path.read_bytes()
        path.chmod(0o644)
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 1
        path.write_bytes(flipped)
        with pytest.raises((CorruptError, NotEntitledError, TrustRootError), match=key):
            Records(store).attestations(record)
        path.write_bytes(good)


def test_an_unknown_record_is_named(records):
    with raised(MissingBlobError, "no-record"):
        records.read("sha256:" + "0" * 64)


def test_a_time_without_an_offset_is_refused():
    with pytest.raises(ValidationError, match="2026-11-02T00:00:00"):
        attest(derive(), SOURCE, "2026-11-02T00:00:00")


def test_parents_are_the_records_of_the_inputs_each_once(store, records):
    one, first = make(records, store, b"1", seed=1)
    two, second = make(records, store, b"2", seed=2)
    inputs = [
        Input(role="teacher", name="code", artifact=second, record=two),
        Input(role="teacher", name="math", artifact=first, record=one),
        Input(role="student", artifact=first, record=one),
        Input(role="data", artifact=store.put_bytes(b"raw")),
    ]
    child, _ = make(records, store, b"3", *inputs)
    assert records.parents(child) == [two, one]


def test_metrics_keep_what_is_not_finite():
    rows = [Sample(1, "loss", float("nan"), "sft"), Sample(2, "loss", 0.5, "sft")]
    assert metrics_blob(rows) == (
        b'{"name":"loss","source":"sft","step":1,"value":"nan"}\n'
        b'{"name":"loss","source":"sft","step":2,"value":0.5}\n'
    )


def test_an_artifact_without_a_record_is_named_as_such(records):
    with pytest.raises(NoRecordError):
        records.read("")
    assert records.history("") == []
