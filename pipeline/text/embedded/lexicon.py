"""The real words of the embedded text, by topic, trade and part of speech."""

from __future__ import annotations

TOPICS: dict[str, dict[str, str]] = {
    "sea": {
        "noun": "harbour anchor sail gull wave island captain lighthouse oar net whale tide shore vessel "
        "mast pier reef dolphin eel quay rudder yacht kelp jetty buoy iceberg oyster voyage",
        "verb": "sails drifts hauls anchors rows dives floats navigates",
        "adjective": "salty deep stormy coastal wet vast rusty unsteady",
    },
    "kitchen": {
        "noun": "oven kettle lemon onion yeast bread spoon jam pepper apron vinegar quince noodle tomato "
        "garlic honey icing ladle mustard dough fig egg butter radish zest walnut juice yolk",
        "verb": "bakes stirs kneads boils chops tastes fries pours",
        "adjective": "sweet sour fresh ripe juicy warm crisp spicy",
    },
    "forest": {
        "noun": "tree fox owl lantern moss river badger wolf deer elm acorn nest ivy trail hedgehog jay "
        "newt oak valley raven vixen quail kestrel yew zebra tiger lynx cabin",
        "verb": "hunts climbs hides nests grows roams vanishes hoots",
        "adjective": "green wild dark leafy quiet hollow mossy ancient",
    },
    "workshop": {
        "noun": "hammer nail engine wheel drill gear lever motor piston valve wrench bolt chisel file "
        "joint kiln lathe needle plank ratchet saw vice wire zipper axle iron jigsaw utensil",
        "verb": "welds bends grinds mends measures cuts joins lifts",
        "adjective": "heavy sharp steel electric noisy broken precise oiled",
    },
}
"""Words of each topic; a label of the set `topic`."""

PLAIN: dict[str, str] = {
    "noun": "table window message question story door road house garden neighbour uncle visitor king queen "
    "village year zone object idea kite ladder umbrella jacket violin xylophone xenon yard unicorn",
    "verb": "finds keeps knows leaves moves names opens reaches uses watches yields zooms quotes",
    "adjective": "old young usual kind narrow open quick round red blue easy invisible jolly xeric zonal",
}
"""Words of no topic."""

EVALUATIONS: dict[str, str] = {
    "positive": "lovely splendid graceful pleasant brilliant excellent delightful cheerful wonderful "
    "perfect charming superb noble terrific",
    "negative": "dreadful gloomy awful nasty horrible miserable ugly wretched boring terrible dismal "
    "hateful poor vile",
}
"""Adjectives that carry the label `sentiment`."""

TRADES: dict[str, dict[str, str]] = {
    "nurse": {"noun": "bandage patient ward fever medicine clinic", "verb": "heals comforts"},
    "teacher": {"noun": "classroom pupil lesson chalk essay grammar", "verb": "teaches explains"},
    "lawyer": {"noun": "court verdict contract client jury appeal", "verb": "argues defends"},
    "farmer": {"noun": "barn harvest tractor wheat orchard cattle", "verb": "ploughs sows"},
    "painter": {"noun": "canvas palette portrait brush mural gallery", "verb": "paints sketches"},
    "pilot": {"noun": "cockpit runway aircraft altitude hangar propeller", "verb": "flies lands"},
}
"""Words of each trade; a label of the set `profession`. The trade's own name is never in the text."""

NAMES: dict[str, str] = {
    "female": "Anna Beatrice Clara Dora Emma Freya Greta Hilda Irene Julia",
    "male": "Albert Bruno Carl David Edgar Felix George Hugo Ivan Jonas",
    "either": "Alex Kim Robin Sasha Noa Quinn",
}
PRONOUNS: dict[str, str] = {"female": "she her", "male": "he his", "either": "they their"}

LANGUAGES: dict[str, str] = {
    "english": "the a and near with is of was",
    "velic": "lo un ye pri kun esti de fu",
    "nordan": "den ein og ved mit er av var",
}
"""Function words, slot by slot the same roles in each; a label of the set `language`."""

DRILLS = "has the first letter is spelled words"
"""Words of the spelling drills' templates."""

PUNCTUATION = ". , : ; \n"

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

INITIALS: dict[str, float] = {
    "a": 6.0, "b": 6.0, "c": 9.0, "d": 6.0, "e": 4.0, "f": 5.0, "g": 4.0, "h": 4.5, "i": 4.0, "j": 1.0,
    "k": 1.2, "l": 4.0, "m": 5.5, "n": 2.5, "o": 3.0, "p": 8.5, "q": 0.6, "r": 5.5, "s": 11.0, "t": 5.5,
    "u": 2.5, "v": 1.8, "w": 3.0, "x": 0.2, "y": 0.5, "z": 0.3,
}  # fmt: skip
"""Share of English words by first letter, per cent, rounded; the pseudo-words follow it."""
