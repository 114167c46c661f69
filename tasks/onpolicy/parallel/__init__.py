"""One run on several processes: shards of the model, shares of the rollouts and microbatches."""
