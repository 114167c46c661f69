"""The one on-policy loop: sample, score, plan microbatches, update. RL and MOPD share it.

Read ``loop`` first, then ``learner``: a step's updates, split by source. ``objective`` is what a
method must provide, ``policy_gradient`` the formula that methods share, ``step_plan`` how rollouts
become microbatches. ``run_monitor`` and ``feature_checks`` stop a run that goes wrong.
``ledger_recorder`` writes the ledger; ``kept_rollouts`` and ``recompute`` train again on its
rollouts.
"""
