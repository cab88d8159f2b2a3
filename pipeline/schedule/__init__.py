"""The stages of DVC's graph, several at a time: in which order, with whose bookkeeping."""
