"""What a person at the terminal sees. No result depends on this room, so no stage declares it."""
