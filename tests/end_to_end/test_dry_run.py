"""A dry run stops at the plan: it says who, what speaks against it, and what it would take."""

import json

import jsonschema
from click.testing import CliRunner

from lineage.launches.history import launches
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.support.tiny_faculty import TEAMS, Contents, kinds
from workflows.cli import main
from workflows.commands.schemas import schema_of

TEACHERS = ",".join(f"{team}@released" for team in TEAMS)
DRY = ("run", "consolidation", "--teachers", TEACHERS, "--mopd-steps", "2", "--dry-run")


def test_a_dry_run_prints_plan_and_cost_and_leaves_a_plan_alone(teachers):
    before = Contents.now().records
    result = CliRunner().invoke(main, [*DRY, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    jsonschema.validate(document, schema_of("run consolidation --dry-run"))
    assert document["teachers"] == {team: f"teacher.{team}@1" for team in TEAMS}
    assert {each["name"] for each in document["estimates"]} >= {"time", "memory", "storage"}
    assert kinds(Contents.now().records - before) == {"plan": 1}
    [row], problems = launches(open_store())
    assert (row.plan, row.outcome, problems) == (document["plan"], "proposed", [])


def test_what_a_launch_would_be_refused_for_ends_a_dry_run_with_status_1(teachers):
    registry = Registry(open_store())
    registry.recall("teacher.shout", 1, by="lead", reason="leak")
    result = CliRunner().invoke(main, [*DRY, "--json"])
    assert result.exit_code == 1
    refused = [
        each for each in json.loads(result.stdout)["findings"] if each["severity"] == "refusal"
    ]
    assert refused


def test_what_fits_no_memory_ends_a_dry_run_with_status_1(teachers):
    too_many = ("--settings", f"prompts_per_domain={10**9}")
    result = CliRunner().invoke(main, [*DRY, *too_many, "--json"])
    assert result.exit_code == 1
    assert "what is free on this machine" in json.loads(result.stdout)["refusal"]
