"""A language model as stages use it: loaded, cut at a site, its tokenizer."""
