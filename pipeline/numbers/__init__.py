"""What the stages measure and write: numbers, their definitions, results.json and the tables beside it."""
