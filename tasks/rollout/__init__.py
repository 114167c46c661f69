"""Rollouts: sample a policy's responses to a domain's prompts, and grade them.

Read ``environment`` first, the interface that a team implements, then ``collect``, which plays
episodes. ``client`` is the batched side of an environment, ``domains`` opens a released domain from
the store and draws the prompts of each step. ``sampling`` holds the engines that generate
model turns, ``worker`` the confined process that runs a team's code, ``sandbox`` a model's code.
"""
