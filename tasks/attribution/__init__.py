"""Finds the teachers that shaped a behavior, with the uncertainty and the measured absence.

Read ``path_integral`` first: the allocation that adds up. ``question`` gathers the ``behavior``s,
``trajectory`` walks the ledger, ``findings`` assembles an audit's ``document``, ``verdict`` and
``naming`` decide which teacher is named. Beside the allocation there are ``estimators``,
``influence`` of single rollouts, and ``counterfactual`` retrains; ``surgery`` removes a teacher.
``audit`` records it, ``page`` and ``page_shares`` compute the values of its page, ``task`` wraps it
for Flyte.
"""
