"""Where the mixtures of tasks are tested that ``tests/release/test_mixed_tasks.py`` leaves out."""

ELSEWHERE = {
    "run_audit": "tests/lineage/test_rules_audit.py",
    "measure_teachers": "tests/release/test_student_mixed.py",
    "record_approval": "tests/release/test_student_mixed.py",
    "warm_up_student": "tests/release/test_student_mixed.py",
    "make_image_base": "tests/sft/test_image_base.py",
    "read_on": "tests/mid_training/test_steps.py",
    "learn_preferences": "tests/preference/test_steps.py",
    "train_reward_model": "tests/reward_model/test_steps.py",
    "measure_remedies": "tests/gate/test_remedied.py",
    # It takes a fork point alone, and refuses one that the weights contradict.
    "import_teacher": "tests/release/test_imported.py",
    "climb_outside": "tests/rl/test_external.py",
    "reinforce": "tests/rl/test_run_spec.py",
    "release_teacher": "tests/release/test_release_mixed.py",
    "publish_student": "tests/release/test_student_mixed.py",
    "distil_traces": "tests/distil_traces/test_steps.py",
    "score_responses": "tests/rejection_sampling/test_scored.py",
    "compare_responses": "tests/rejection_sampling/test_scored.py",
    "sample_responses": "tests/rejection_sampling/test_sample.py",
    "select_demonstrations": "tests/rejection_sampling/test_steps.py",
    "select_pairs": "tests/rejection_sampling/test_steps.py",
    "select_prompts": "tests/rejection_sampling/test_steps.py",
    "annotate": "tests/rejection_sampling/test_steps.py",
    "write_verdicts": "tests/rejection_sampling/test_steps.py",
    # What they make is taken by an audit alone, which refuses what is of another round.
    "retrain": "tests/lineage/test_rules_audit.py",
    "replay_round": "tests/lineage/test_rules_audit.py",
    # They make nothing of what they are given: they refuse to begin, or say that a run failed.
    "check_climb": "tests/end_to_end/test_bad_input_of_a_climb.py",
    "check_foundation": "tests/end_to_end/test_disk_of_a_foundation.py",
    "record_failure": "tests/hosted/test_failure_records.py",
    "summarize": "tests/export/test_summary.py",
    # They make nothing: they name a checkpoint of one ladder or student, or fill in a form.
    "finished_policy": "tests/recipes/test_graphs.py",
    "without_climb": "tests/recipes/test_graphs.py",
    "consolidated_checkpoint": "tests/recipes/test_graphs.py",
    "launch_inputs": "tests/recipes/test_mopd_form.py",
    "release_start": "tests/recipes/test_own_release.py",
    "approve_automatically": "tests/recipes/test_acceptance.py",
    "late_policy": "tests/recipes/test_graphs.py",
    # Their climbs are released by release_teacher, which refuses what is of another.
    "climbs_again": "tests/end_to_end/test_refreshed_consolidation.py",
    "learn_again": "tests/end_to_end/test_refreshed_consolidation.py",
    "climb_again": "tests/end_to_end/test_refreshed_consolidation.py",
    "release_again": "tests/end_to_end/test_refreshed_consolidation.py",
    "next_round": "tests/refresh/test_climb_again.py",
    # What they train is taken by a scorecard, and its student by rules that follow every control.
    "plan_off_policy": "tests/release/test_trained_controls.py",
    "train_off_policy": "tests/release/test_trained_controls.py",
    "plan_arms": "tests/release/test_trained_controls.py",
    "train_arm": "tests/release/test_trained_controls.py",
    "score_recipe": "tests/evaluate/test_recipe_card.py",
    # It refuses checkpoints without a common ancestor.
    "merge_checkpoints": "tests/merge/test_soup.py",
}
"""Task to the file that tests its mixtures."""
