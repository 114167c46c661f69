"""Supervised stages, on TRL: pre-training the base, the shared SFT, a team's SFT.

Read ``steps`` first: what is recorded. ``train`` runs TRL, ``scratch`` makes a base from nothing:
model and text, ``warm_up`` trains a student briefly on a teacher's answers before a round.
"""
