"""Records: what was made from what, by which code, and what came out.

A ``derivation`` is an identity, and an attestation is what happened. ``record`` reads and writes
both.
"""
