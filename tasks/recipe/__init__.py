"""The numbers of a recipe: settings of all of its stages, at each scale.

It lies above the steps, because it names the settings of all of them. ``settings`` first.
"""
