"""Adds in the head: questions of reasoning-gym, graded by math-verify."""
