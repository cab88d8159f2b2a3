"""The study: experiments over several language models and SAE seeds, gathered into tables and findings."""
