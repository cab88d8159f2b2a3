"""Where text comes from: the embedded generator, local files, the hub; labelled sets; packed contexts."""
