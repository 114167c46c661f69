"""Signed statements, and the trust root by which they count.

Read ``statement`` first, then ``journal``: the statements of a store in numbered slots. ``root``
says who owns which names, ``chain`` holds its versions, and ``author`` is the key at hand.
"""
