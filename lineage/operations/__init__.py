"""What people do to a whole store, or to a version after the fact.

``verify`` checks a checkpoint with everything behind it. ``recall`` withdraws a version,
``promotion`` brings one to another store, ``adoption`` puts older statements under a trust root,
and ``gc`` removes blobs that nothing reaches.
"""
