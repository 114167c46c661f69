"""Published post-training systems, a file each, over the same tasks, base and domains.

No recipe imports another; ``kit`` and ``kit_data`` hold what all of them begin and end with,
``wiring`` what some of them share.
"""
