"""Supervised stages, on TRL: pre-training the base, the shared SFT, a team's SFT."""
