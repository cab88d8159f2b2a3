"""The embedded language model as the package brings it: everyone starts from the same weights."""
