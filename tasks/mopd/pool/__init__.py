"""Many frozen teachers in the memory of one: resident, in host memory, or on disk until asked."""
