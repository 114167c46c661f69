"""What tasks hand each other, and the acts on it that several steps share.

Read ``handover`` first: the types. ``planned`` holds what is handed on to the stored plan,
``review`` records a person's decision on a plan, ``publication`` gives a name its next version.
``refusal`` is the error for what cannot be used; ``inputs`` is for what a person types.
"""
