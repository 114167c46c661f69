"""Ground floor: what MOPD writes while it trains: each change of the weights by its source."""
