"""The tasks wired as a recipe wires them: promises, lists of artifacts, and settings."""

import pytest
from flytekit import workflow

from lineage.artifacts import Artifact
from lineage.graph.handed import Handed, inputs_handing
from lineage.records.record import Records
from lineage.store.store import open_store
from tasks.contracts.handover import Domain, DomainSettings, StageLabel
from tasks.distil_traces.settings import TraceBalance, TraceSettings, TraceSource
from tasks.distil_traces.task import distil_traces
from tasks.rejection_sampling.annotator import AnnotatorSettings
from tasks.rejection_sampling.demonstrations import DemonstrationRule, Keep
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.pairs import Pairing, PairRule
from tasks.rejection_sampling.pools import Readability
from tasks.rejection_sampling.settings import (
    ComparisonSettings,
    PromptSplit,
    ResponseSettings,
)
from tasks.rejection_sampling.task import (
    annotate,
    compare_responses,
    sample_responses,
    score_responses,
    select_demonstrations,
    select_pairs,
    select_prompts,
)
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tasks.sft.task import finetune
from tests.support.judges import SETTINGS as JUDGE
from tests.support.refused import refused
from tests.support.sampled import Bench

SAMPLING = ResponseSettings(samples_per_prompt=4, sampling=SamplingSettings(max_new_tokens=3))
ANY = Readability(drop_truncated=False, least_scores={"grade": 0.0})
BEST = DemonstrationRule(keep=Keep.TOP, readable=ANY)
SFT = SftSettings(num_steps=1, batch_size=2, learning_rate=1e-3, warmup_steps=0)
TRACES = TraceSettings(
    sources=(
        TraceSource(name="one", least_score=None, keep_truncated=True, weight=2.0),
        TraceSource(name="best", least_score=None),
    ),
    balance=TraceBalance.SAMPLES,
)


@workflow
def ladder(start: Artifact, domain: Domain, seed: int) -> tuple[Artifact, Artifact, Domain]:
    """Two rounds of rejection sampling, and everything else that takes responses."""
    first = sample_responses(
        checkpoints=[start],
        names=["start"],
        domains=[domain],
        split=PromptSplit.TRAIN,
        settings=SAMPLING,
        seed=seed,
    )
    scored = score_responses(
        responses=first, reward_models=[], judges=[start], names=["j"], settings=[JUDGE], seed=seed
    )
    best = select_demonstrations(responses=[scored], rule=BEST, seed=seed, owner="team")
    label = StageLabel(name="round 1", owner="team")
    tuned = finetune(start=start, data=[best], settings=SFT, seed=seed, stage=label)
    second = sample_responses(
        checkpoints=[start, tuned],
        names=["start", "round-1"],
        domains=[domain],
        split=PromptSplit.TRAIN,
        settings=SAMPLING,
        seed=seed,
    )
    delta = PairRule(pairing=Pairing.DELTA, strong="round-1", weak="start", readable=ANY)
    select_pairs(responses=[second], rule=delta, seed=seed, owner="team")
    pairs = annotate(responses=[second], settings=AnnotatorSettings(), seed=seed, owner="team")
    mixed = distil_traces(traces=[second, best], settings=TRACES, seed=seed, owner="team")
    narrowed = select_prompts(
        domain=domain,
        responses=[second],
        rule=PromptRule(keep_never_solved=True, keep_always_solved=True),
    )
    return pairs, mixed, narrowed


@pytest.fixture
def domain(tracked_home, tmp_path):
    bench = Bench(tmp_path)
    prompts = bench.prompts("1+1", "2+2", "3+3")
    return bench, Domain(
        settings=DomainSettings(name="math", owner="team", version="1"),
        environment=bench.environment(),
        train=prompts,
        validation=prompts,
        evaluation=prompts,
        demonstrations=prompts,
        sketches=prompts,
    )


@pytest.mark.slow
def test_a_recipe_wires_the_tasks_and_its_records_say_what_was_handed_on(domain):
    bench, given = domain
    start = bench.checkpoint().artifact
    pairs, mixed, narrowed = ladder(start=start, domain=given, seed=0)
    records = Records(open_store())
    kinds = {each: records.read(each).kind for each in records.all()}
    made = [kind for kind in kinds.values() if kind not in {"prompts", "environment"}]
    assert sorted(made) == sorted(
        ["sft", "sampling", "scoring", "selection", "sft", "sampling", "pairs", "annotation",
         "traces", "difficulty"]
    )  # fmt: skip
    assert (pairs.kind, mixed.kind) == ("comparisons", "dataset")
    assert bench.inputs(narrowed.train).keys() == {("responses", "0")}
    [tuned] = [e for e, kind in kinds.items() if kind == "sft" and records.read(e).inputs]
    handed = {
        what: [item.role for item in inputs_handing(records.read(tuned), what)] for what in Handed
    }
    assert (handed[Handed.WEIGHTS], handed[Handed.DATA]) == (["start"], ["data"])
    second = [records.read(e) for e, kind in kinds.items() if kind == "sampling"]
    assert {len(list(inputs_handing(each, Handed.WEIGHTS))) for each in second} == {0}
    assert ladder(start=start, domain=given, seed=0) == (pairs, mixed, narrowed)
    assert len(records.all()) == len(kinds)


@pytest.mark.slow
def test_a_judge_compares_as_a_task(domain):
    bench, given = domain
    start = bench.checkpoint().artifact
    responses = sample_responses(
        checkpoints=[start], names=["start"], domains=[given],
        split=PromptSplit.EVALUATION, settings=SAMPLING, seed=0,
    )  # fmt: skip
    with refused("nothing-left"):  # it writes noise
        compare_responses(
            responses=[responses],
            judge=start,
            name="j",
            judging=JUDGE,
            settings=ComparisonSettings(),
            seed=0,
        )
