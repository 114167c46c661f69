"""Many frozen teachers in the memory of one: resident, in host memory, or on disk until they score.

Read ``pool`` first: it opens and checks teachers, and scores by name. ``checkpoint`` binds names to
digests and reads files, ``weights`` holds them in files or memory, ``device`` brings one teacher's
to the device, ``hidden_cache`` keeps the hidden states of a step with several inner updates.
"""
