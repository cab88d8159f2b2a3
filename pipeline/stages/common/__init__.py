"""What stages share: where things lie, what killed work is keyed by, how an evaluation is run."""
