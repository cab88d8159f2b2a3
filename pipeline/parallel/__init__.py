"""Several processes on one task: what they tell each other."""
