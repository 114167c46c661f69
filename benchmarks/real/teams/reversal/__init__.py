"""Reverses lists of words: a family of reasoning-gym and its scorer."""
