"""Mirrors that are quicker than MLflow."""

from contextlib import nullcontext


class MemoryMirror:
    """Keeps the records and the names that it is given, in their order."""

    def __init__(self):
        self.records, self.names = [], []

    def live(self, store, derivation, owner, measurements):
        return nullcontext()

    def add(self, store, record):
        self.records.append(record)

    def add_name(self, store, name):
        self.names.append(name)
