"""Packages of others in an environment: resolved once, carried as wheels, unpacked and verified.

``resolve`` asks pip, on the team's machine alone. ``bundled`` compares a bundle with its lock.
``contents`` reads one wheel and refuses what a wheel must not hold. ``cache`` unpacks it. None of
them runs or imports anything of a wheel; only the confined worker does.
"""
