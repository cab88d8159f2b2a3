"""The model card of a published SAE, and its template."""
