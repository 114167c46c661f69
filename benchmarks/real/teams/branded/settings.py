"""The numbers of the branded team's climb."""

from benchmarks.real.settings import RL, SFT, domain

__all__ = ["DOMAIN", "RL", "SFT"]

DOMAIN = domain("branded")
