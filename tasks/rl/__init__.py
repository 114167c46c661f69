"""Reinforcement learning with verifiable rewards, on the loop of ``tasks.onpolicy``.

Read ``grpo`` first: where a token's advantage comes from. ``climb`` runs it and leaves the rungs,
``task`` wraps it for Flyte.
"""
