"""saeline: which sparse-autoencoder training method is better, measured honestly.

One stage, one file, one command. Read the rooms in the order an activation travels:
text -> lm -> store -> sae -> training -> metrics -> report; `stages` wires them to DVC.
"""

__version__ = "0.1.0"
