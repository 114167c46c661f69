"""Reinforcement learning with verifiable rewards, on the loop of ``tasks.onpolicy``.

Read ``grpo`` first: where a rollout's advantage comes from; ``ppo`` and ``hint`` are others. Then
``objective``: how an advantage becomes a loss. ``reinforce`` runs it and leaves the rungs;
``climb`` is its case of one domain, and ``task`` wraps both for Flyte.
"""
