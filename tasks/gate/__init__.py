"""Do the teachers fit? By record, before anything is spent on merging them."""
