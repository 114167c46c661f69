"""Checks of what a store, its keys and the tracking server offer; ``provost doctor`` runs them."""
