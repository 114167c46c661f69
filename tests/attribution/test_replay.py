"""Replay and masks: all kept is the run again; a mask takes one teacher out and nothing else."""

import torch

from tasks.attribution.trajectory import Stretch, stretches
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import LedgerSettings
from tasks.ledger.split_adamw import UNREPLAYED
from tasks.ledger.writer import LedgerWriter
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.kept_rollouts import KeptRollouts, UncorrectedRollouts, recompute_settings
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.recompute import (
    RecomputedLedger,
    recompute_displacements,
    recompute_without,
    segment_boundaries,
)
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tests.mopd.test_learning import DOMAINS, SAMPLING, mixture, other_teachers
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tiny_policy, tokenizer

LOOP = LoopSettings(num_steps=4, learning_rate=1e-2, warmup_steps=0, weight_decay=0.1)


def objective(masked=()):
    return Distillation(
        Routing(Route(domain, domain) for domain in DOMAINS),
        ResidentTeachers(other_teachers(), SAMPLING.temperature),
        DistilSettings(masked=masked),
        LOOP,
        control_ids=[0, 1, 2],
    )


def learner_of(model, settings=LOOP):
    pad = tokenizer().pad_token_id
    return Learner(model, settings, SAMPLING.temperature, pad, list(DOMAINS), record=True)


def run(folder, masked=(), loop=LOOP, **kept):
    """Distil the toy; return its ledger, its last weights and the rollouts of every step."""
    policy, played = tiny_policy(0), []
    learner = learner_of(policy.model, loop)
    told = {"segment_steps": 2, "rollouts_per_teacher": 99} | kept
    writer = LedgerWriter(folder, LedgerSettings(**told), learner.optimizer, 0)
    source = mixture(policy)

    class Watched:
        def rollouts(self, step):
            played.append(source.rollouts(step))
            return played[-1]

    callbacks = LoopCallbacks(lambda step, metrics: None, lambda step: None)
    train(
        learner,
        objective(masked),
        Watched(),
        callbacks,
        LoopObservers(LedgerRecorder(writer, 0, loop.num_steps)),
    )
    return Ledger.open(folder), weights(policy.model), played


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def reached(found):
    """Return the weights where a replayed segment ends."""
    return Stretch(found.segment, found.start, found.parts).at(1.0)


def close(found, expected, atol=1e-5, rtol=0.0):
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=rtol, atol=atol)


def again(ledger, masked=()):
    """Rehearse a run from its beginning."""
    learner = learner_of(tiny_model(0), recompute_settings(LOOP))
    return recompute_without(learner, UncorrectedRollouts(objective(), ledger, masked))


def test_where_all_was_kept_the_replay_is_the_run(tmp_path):
    ledger, end, _ = run(tmp_path)
    close(again(ledger), end)
    learner = learner_of(tiny_model(0), recompute_settings(LOOP))
    start = weights(tiny_model(0))
    found = list(
        recompute_displacements(
            ledger, segment_boundaries(ledger, start), learner, KeptRollouts(objective(), ledger)
        )
    )
    assert len(found) == 2
    for segment, stretch in zip(ledger.manifest.segments, found, strict=True):
        for source in (*DOMAINS, "decay"):
            # Where sources cancel, their sum's small second moment makes each one's part large.
            close(stretch.parts[source], ledger.displacement(segment, source), rtol=1e-3)
        assert stretch.segment.norms[UNREPLAYED] < 1e-3 * stretch.segment.change
    close(reached(found[-1]), end)


def test_with_few_kept_rollouts_the_rest_belongs_to_no_source(tmp_path):
    ledger, end, _ = run(tmp_path, rollouts_per_teacher=1, displacements=False)
    assert ledger.manifest.segments == ()
    learner = learner_of(tiny_model(0), recompute_settings(LOOP))
    checkpoints = segment_boundaries(ledger, weights(tiny_model(0)))
    close(checkpoints[-1], end, atol=0)
    for stretch in recompute_displacements(
        ledger, checkpoints, learner, KeptRollouts(objective(), ledger)
    ):
        # Each segment begins with the true weights, and goes where its own rollouts lead.
        there = dict(stretch.start)
        for source in (*DOMAINS, "decay"):
            there = {n: tensor + stretch.parts[source][n] for n, tensor in there.items()}
        close(weights(learner.model), there)
        assert stretch.segment.norms[UNREPLAYED] > 0.01 * stretch.segment.change
    close(reached(stretch), end)


def test_a_replay_is_written_as_a_ledger_that_adds_up_to_the_student(tmp_path):
    ledger, end, _ = run(tmp_path / "run", rollouts_per_teacher=1, displacements=False)
    start = weights(tiny_model(0))
    learner = learner_of(tiny_model(0), recompute_settings(LOOP))
    found = list(
        recompute_displacements(
            ledger, segment_boundaries(ledger, start), learner, KeptRollouts(objective(), ledger)
        )
    )
    written = write(ledger, found, tmp_path / "replayed")
    assert written.check(start, end).unexplained < 1e-6
    assert set(written.parts) == {*DOMAINS, "decay", UNREPLAYED}
    assert [s.last_step for s in written.manifest.segments] == [2, 4]
    assert written.manifest.segments[0].end == ledger.manifest.checkpoints[0].digest
    assert list(written.rollouts()) == list(ledger.rollouts())
    for stretch, made in zip(stretches(written, start), found, strict=True):
        for part in written.parts:
            close(stretch.parts[part], made.parts[part], atol=0)


def write(ledger, found, folder):
    """Write a replay as a ledger."""
    writer = RecomputedLedger(ledger, folder)
    for segment in found:
        writer.add(segment)
    writer.finish()
    return Ledger.open(folder)


def test_a_replay_that_was_killed_goes_on_to_the_same_bits(tmp_path):
    ledger, _, _ = run(tmp_path / "run", rollouts_per_teacher=1, displacements=False)
    checkpoints = segment_boundaries(ledger, weights(tiny_model(0)))

    def begin():
        return learner_of(tiny_model(0), recompute_settings(LOOP)), KeptRollouts(
            objective(), ledger
        )

    learner, kept = begin()
    first, second = recompute_displacements(ledger, checkpoints, learner, kept)
    learner, kept = begin()
    writer = RecomputedLedger(ledger, tmp_path / "killed")
    writer.add(next(recompute_displacements(ledger, checkpoints, learner, kept)))
    for name, part in (("learner", learner), ("ledger", writer)):
        (tmp_path / "state" / name).mkdir(parents=True)
        part.save(tmp_path / "state" / name)
    learner, kept = begin()
    resumed = RecomputedLedger(ledger, tmp_path / "resumed")
    for name, part in (("learner", learner), ("ledger", resumed)):
        part.load(tmp_path / "state" / name)
    [last] = recompute_displacements(
        ledger, checkpoints, learner, kept, after=first.segment.last_step
    )
    for part, moved in second.parts.items():
        close(last.parts[part], moved, atol=0)
    resumed.add(last)
    resumed.finish()
    whole = write(ledger, [first, second], tmp_path / "whole")
    assert Ledger.open(tmp_path / "resumed").manifest == whole.manifest


def test_a_kept_reward_is_learned_from_again(tmp_path):
    """The ledger holds a rollout's advantage as it was weighed, at each of its tokens."""
    ledger, _, _ = run(tmp_path)
    [first, *_] = ledger.rollouts()
    rewarded = {**first.advantages, "outcome": tuple(-0.75 for _ in first.response)}
    told = first.model_copy(update={"advantages": rewarded})
    (tmp_path / "rollouts.jsonl").write_text(told.model_dump_json() + "\n")
    for weight, advantage in ((0.5, -1.5), (0.0, 0.0)):
        kept = KeptRollouts(objective(), ledger, outcome_weight=weight)
        [scored] = kept.scored(first.step)
        assert scored.outcome_advantage == advantage


def test_recomputing_without_a_teacher_is_the_retrain_while_the_samples_are_the_same(tmp_path):
    # In a run of one step the student has said all before it learned anything.
    one = LOOP.model_copy(update={"num_steps": 1})
    ledger, whole, _ = run(tmp_path / "whole", loop=one)
    _, without, _ = run(tmp_path / "without", masked=("math",), loop=one)
    close(again(ledger, masked=["math"]), without)
    name = "model.embed_tokens.weight"
    assert float((without[name] - whole[name]).abs().max()) > 1e-3


def test_recomputing_drops_no_token_outside_the_correction_window(tmp_path):
    """A sampler that thought apart by 4 nats is outside the correction's window at every token."""
    ledger, end, _ = run(tmp_path)
    lines = [
        entry.model_copy(
            update={"sampler_log_probs": tuple(said - 4 for said in entry.sampler_log_probs)}
        ).model_dump_json()
        for entry in ledger.rollouts()
    ]
    (tmp_path / "rollouts.jsonl").write_text("\n".join(lines) + "\n")
    close(again(ledger), end)
    learner = learner_of(tiny_model(0), recompute_settings(LOOP))
    kept = KeptRollouts(objective(), ledger)
    found = learner.update(kept, kept.scored(1), 1)
    assert [found[f"dropped/{domain}"] for domain in DOMAINS] == [1.0, 1.0]


def test_a_rehearsal_ends_with_the_mean_of_its_last_quarter(tmp_path):
    loop = LOOP.model_copy(update={"num_steps": 8})
    ledger, end, _ = run(tmp_path, loop=loop)
    kept = UncorrectedRollouts(objective(), ledger)
    learner = learner_of(tiny_model(0), recompute_settings(loop))
    for step in range(1, 8):
        learner.update(kept, kept.scored(step), step)
    seventh = weights(learner.model)
    close(again(ledger), {name: (seventh[name] + end[name]) / 2 for name in end})


def test_a_mask_keeps_prompts_noise_and_the_other_weights(tmp_path):
    _, _, whole = run(tmp_path / "whole")
    _, _, without = run(tmp_path / "without", masked=("math",))
    assert whole[0] == without[0]  # the same weights, the same noise
    for first, second in zip(whole, without, strict=True):
        assert [r.prompt for r in first] == [r.prompt for r in second]
    assert whole[3] != without[3]
    scored = [ScoredRollout(rollout, rollout.domain) for rollout in whole[0]]
    some = [ScoredRollout(s.rollout, s.teacher, masked=s.teacher == "math") for s in scored]
    for normalization in Normalization:
        full, rest = (plan_step(items, normalization, 10_000, 0) for items in (scored, some))
        assert [batch.teacher for batch in full] == ["code", "math"]
        (code,) = rest
        assert torch.equal(code.weights_N, full[0].weights_N)


def test_what_cannot_be_replayed_is_refused(tmp_path):
    ledger, _, _ = run(tmp_path / "kept")
    with refused("unknown-teacher", "'maths'"):
        KeptRollouts(objective(), ledger, ["maths"])
    nothing, _, _ = run(tmp_path / "nothing", rollouts_per_teacher=0)
    with refused("no-kept-rollouts"):
        KeptRollouts(objective(), nothing)
    older = ledger.manifest.model_copy(update={"segments": ()})
    with refused("nothing-to-recompute-from"):
        segment_boundaries(Ledger(ledger.folder, older), weights(tiny_model(0)))
