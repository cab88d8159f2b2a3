"""Tuning: what is tried for every method, by which rule one value is taken, and the record of it."""
