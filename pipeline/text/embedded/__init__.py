"""The seeded generator of labelled English-like text, and its tokenizer."""
