"""Supervised stages, on TRL: pre-training the base, the shared SFT, a team's SFT.

Read ``steps`` first: what is recorded. ``train`` runs TRL, ``corpus`` writes the text of a base
made from scratch, ``warm_up`` trains a student briefly on a teacher's answers before a round.
"""
