"""What holds for the prompts and demonstrations of every domain of the testbed."""

import pytest

from tasks.rollout.client import LocalEnvironment
from tasks.rollout.environment import SPLITS
from tasks.rollout.worker.bundle import collect
from tests.support.bed_domains import EACH_DOMAIN, NAMES, answered, environment_of, source_of
from workflows.testbed.base import BEDS, DOMAINS, PICTURES, package_of

COUNT = {"train": 300, "validation": 60, "evaluation": 60}
SIZES = {domain.name: domain for domain in DOMAINS}


def asked(name, split, seed):
    """Return what the model sees of each prompt of a split."""
    return {prompt.messages for prompt in source_of(name).prompts(split, COUNT[split], seed)}


@EACH_DOMAIN
def test_splits_have_no_prompt_in_common_whatever_their_seeds(name):
    seen = {split: asked(name, split, 0) | asked(name, split, 1) for split in SPLITS}
    assert seen["train"].isdisjoint(seen["evaluation"])
    assert seen["train"].isdisjoint(seen["validation"])
    assert seen["validation"].isdisjoint(seen["evaluation"])
    shown = {example.messages for example in source_of(name).demonstrations(300, 0)}
    assert shown.isdisjoint(seen["evaluation"] | seen["validation"])


@EACH_DOMAIN
def test_a_split_has_as_many_different_prompts_as_its_settings_say(name):
    # The client refuses another number than wanted, and ids that are not unique.
    client = LocalEnvironment(environment_of(name), source_of(name))
    sizes = SIZES[name]
    wanted = (sizes.num_train, sizes.num_validation, sizes.num_evaluation)
    for split, number in zip(SPLITS, wanted, strict=True):
        prompts = client.prompts(split, number, 0)
        assert len({prompt.messages for prompt in prompts}) == number


@EACH_DOMAIN
def test_prompts_and_demonstrations_are_repeatable_from_their_seed(name):
    source = source_of(name)
    for made in (
        lambda seed: list(source.prompts("train", 30, seed)),
        lambda seed: list(source.demonstrations(30, seed)),
    ):
        assert made(1) == made(1)
        assert made(0) != made(1)


# The mean score of 600 demonstrations, and the share with the whole score. That is below one half,
# so a base that has learned them perfectly fails more often than not. The standard error of a share
# of one half among 600 is 0.02; four of them.
MEAN = {"add": 0.41, "sort": 0.41, "form": 0.4, "tool": 0.35, "helpful": 0.61, "safe": 0.49}
WHOLE = MEAN | {"helpful": 0.03, "safe": 0.24}


@EACH_DOMAIN
def test_demonstrations_are_as_mixed_as_is_stated(name):
    environment = environment_of(name)
    grades = [environment.grade(prompt, e.turns).score for prompt, e in answered(name, 600)]
    assert sum(grades) / len(grades) == pytest.approx(MEAN[name], abs=0.08)
    assert grades.count(1.0) / len(grades) == pytest.approx(WHOLE[name], abs=0.08)
    assert 1.0 in grades


@EACH_DOMAIN
def test_a_demonstrated_episode_is_one_that_the_environment_would_play(name):
    environment = environment_of(name)
    for prompt, example in answered(name, 60):
        places = [at for at, turn in enumerate(example.turns, 1) if turn.role == "assistant"]
        assert len(places) <= environment.max_turns
        heard = [environment.respond(prompt, example.turns[:at]) for at in places]
        assert heard == [*(t.content for t in example.turns if t.role == "tool"), None]


@EACH_DOMAIN
def test_a_domain_can_be_bundled(name, tmp_path):
    assert collect(package_of(SIZES[name]), tmp_path / "bundle").is_dir()


def test_each_scale_has_all_six_domains_each_with_an_owner_of_its_own():
    for bed in BEDS:
        *texts, pictures = bed.domains
        assert sorted(domain.name for domain in texts) == list(NAMES)
        assert pictures.name == PICTURES.name
        assert sorted(part.domain for part in bed.blend.contributions) == list(NAMES)
        assert len({domain.owner for domain in bed.domains}) == len(NAMES) + 1
