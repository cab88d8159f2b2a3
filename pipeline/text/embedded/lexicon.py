"""What the embedded text is made of beside invented words: marks, letters, the drills' words, sizes."""

from __future__ import annotations

SPECIALS = ["<pad>", "<bos>", "<eos>", "<unk>"]

ENDS = [".", "!", "?"]
"""Marks that end a sentence."""

MARKS = [*ENDS, ",", ":", ";", "\n"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

DRILLS = ["has", "the", "first", "letter", "words"]
"""Words of the spelling drills' templates."""

ROLES = 6
"""Function words of one language and register: two determiners, then prepositions."""
DETERMINERS = 2

KINDS, SUB_KINDS = 6, 3
"""Kinds of nouns, and sub-kinds in each."""

WORD_CLASSES = ["function", "noun", "verb", "adjective", "adverb", "speaker_particle", "domain_particle",
                "auxiliary", "mark"]  # fmt: skip
"""Values of the label `word_class`, in this order."""

SHARES = {"noun": 0.66, "verb": 0.19, "adjective": 0.15}
"""Of the words that are left when the small classes have theirs; a verb has one word per tense."""

INITIALS: dict[str, float] = {
    "a": 6.0, "b": 6.0, "c": 9.0, "d": 6.0, "e": 4.0, "f": 5.0, "g": 4.0, "h": 4.5, "i": 4.0, "j": 1.0,
    "k": 1.2, "l": 4.0, "m": 5.5, "n": 2.5, "o": 3.0, "p": 8.5, "q": 0.6, "r": 5.5, "s": 11.0, "t": 5.5,
    "u": 2.5, "v": 1.8, "w": 3.0, "x": 0.2, "y": 0.5, "z": 0.3,
}  # fmt: skip
"""Share of English words by first letter, per cent, rounded; the invented words follow it."""
