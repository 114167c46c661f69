"""When does MOPD win? A map around one center point, one axis at a time.

``points`` has the points and says how each axis is made, ``worked`` and ``domains`` make the
domains, ``case`` runs a point with a seed, ``tables`` and ``picture`` show what came of it, and
``predictions.json`` is what we expected. It was written before the first case ran, but for the
point ``length-9``, which came after three cases.
"""
