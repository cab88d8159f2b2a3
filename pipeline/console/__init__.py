"""What a person at the terminal sees, and how a command is started.

No result depends on this room, so no stage declares it.
"""
