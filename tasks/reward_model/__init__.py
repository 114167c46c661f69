"""Reward models: Bradley-Terry on TRL, from a policy and comparisons.

Read ``steps`` first: what is recorded. ``groups`` brings the comparisons of a prompt together,
``train`` has the loss, ``held_out`` the accuracy on prompts that were not trained on.
"""
