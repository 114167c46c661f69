"""Numbers for a response besides the environment's grade: reward models, judges and rules.

Shared by rejection sampling, reinforcement learning and evaluation. Read ``scorer`` first.
"""
