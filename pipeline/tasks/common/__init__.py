"""What tasks share: batches of texts, and their folders on disk."""
