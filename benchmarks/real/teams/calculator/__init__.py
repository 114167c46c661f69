"""Multiplies with a calculator: a family of reasoning-gym, its scorer, and a tool."""
