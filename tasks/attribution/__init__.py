"""Which teacher shaped a behaviour, how sure that is, and what the student would be without it.

Read ``path_integral`` first: the allocation that adds up. ``question`` gathers the ``behaviour``s,
``trajectory`` walks the ledger, ``findings`` puts an audit's ``document`` together, ``verdict`` and
``naming`` say who is named. Beside the allocation there are ``estimators``, ``influence`` of single
rollouts, and ``counterfactual`` retrains; ``surgery`` removes a teacher. ``audit`` records it,
``page`` and ``page_shares`` give the values of its page, ``task`` wraps it for Flyte.
"""
