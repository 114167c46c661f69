"""The whole way with a real model and environments of others: climbs, gate, merge, audit."""
