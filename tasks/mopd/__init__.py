"""Multi-teacher on-policy distillation: one round, its losses, its teachers, its counterfactuals.

Read ``objective`` first: route, score, sum. ``losses.token_loss`` is the formula, ``routing``
decides which teacher scores which rollout, ``weighting`` balances the teachers' weights.
``trainer`` opens what a round needs, ``round`` runs rounds, ``task`` wraps them for Flyte.
``round_models``, ``teachers`` and ``teacher_pool`` hold the frozen models; ``counterfactual`` runs
a round again.
"""
