"""The whole comparison as one HTML file: what a reader opens first."""
