"""A made-up world with everything the page reads: compared, judged, and with latents of hostile tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.numbers.document import read_results
from pipeline.numbers.files import write_json
from pipeline.numbers.table import write_table
from pipeline.stages import claims, compare
from pipeline.stages.common.files import evaluation_folder
from tests.common import ROOT
from tests.compare.fake import World

PARAMS: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
HOSTILE = [
    "<script>boom()</script>",
    "</script><img src=x onerror=boom()>",
    "<!--",
    "&lt;b&gt;",
    "'\"`",
    "{{ 7*7 }}",
    "\\u202e\\x00",
    "\u2028",
    "]]>",
    "$&",
]
"""Tokens as words() leaves them, and such as could only come from a damaged artefact."""
WORDS = [*HOSTILE, *(f"word{place}" for place in range(30))]


def whole(root: Path, **world: Any) -> World:
    """Write params.yaml, the locks, reports and models under `root`, the current folder."""
    made = World(**{"variants": ["standard", "topk", "temporal"], **world})
    made.write(root)
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(PARAMS | {"external": {}}, file)
    family = [
        {
            "variant": "temporal",
            "against": "standard",
            "outcomes": ["explained_variance", "exact_absorption"],
        },
        {"variant": "temporal", "against": "temporal (<i>twin</i>)", "outcomes": ["explained_variance"]},
    ]
    asked = {"family": family, "margins": {"explained_variance": 0.05}}
    own = {"variants": made.variants, "seeds": made.seeds, "compare": asked}
    _set(own)
    Path("requirements").mkdir()
    Path("requirements/numeric.txt").write_text("torch==2.13.0\n", encoding="utf-8")
    for variant in made.variants:
        _problems(variant, made)
    compare.run()
    claims.run()
    for variant in made.variants:
        write_json(Path("reports/latents") / variant / "latents.json", latents(variant, made))
    return made


def _set(values: dict[str, Any]) -> None:
    path = Path("params.yaml")
    tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(tree | values, file)


def _problems(variant: str, made: World) -> None:
    folder = evaluation_folder("probing", variant)
    columns = read_results(folder, "probing").tables["problems.tsv"]
    empty: dict[str, Any] = {name: "" if kind is str else 0 for name, kind in columns.items()}
    rows = [
        empty | {"label": variant, "seed": seed, "run": f"l0-{target}", "set": "topic", "class": name, "k": k,
                 "accuracy": 0.7, "raw_neurons": 0.6, "raw_dense": 0.9}
        for seed in made.seeds
        for target in made.targets
        for name in ("forest", "<b>sea</b>")
        for k in (1, 2)
    ]  # fmt: skip
    write_table(folder / "problems.tsv", columns, rows)


def latents(variant: str, made: World) -> dict[str, Any]:
    """An artefact in the form of stage `latents`."""
    text = list(range(len(WORDS)))
    kinds = [
        "dense",
        "letter a",
        "absorbs a in 2 words, as in <i>apple</i>",
        "steady",
        "flickering",
        "random",
        "on the shared text",
    ]
    return {
        "schema": 2,
        "variant": variant,
        "model": "embedded",
        "layer": 1,
        "params": {"lr_scale": 1.0},
        "words": WORDS,
        "text": text,
        "saes": [
            {
                "label": variant,
                "seed": 42,
                "run": f"l0-{target}",
                "target": target,
                "l0": float(target),
                "n": 64,
                "latents": [_latent(number, why) for number, why in enumerate(kinds)],
            }
            for target in made.targets
        ],
    }


def _latent(number: int, why: str) -> dict[str, Any]:
    context = {"at": 3, "value": 9.5, "words": list(range(20)), "shades": [0, 20, 40, 99, *[0] * 16]}
    return {
        "latent": number,
        "why": [why],
        "peak": 9.5,
        "density": 0.01,
        "flicker": 0.5 if number else None,
        "histogram": [5, 3, 1, *[0] * 13],
        "contexts": [context],
        "promoted": [[place, 3.0] for place in range(8)],
        "suppressed": [[place, -3.0] for place in range(8)],
        "neighbours": [[9, 0.5]],
        "text": [99 if place % 2 else 0 for place in range(len(WORDS))],
    }


def embedded(html: str) -> dict[str, Any]:
    """The JSON that the page's script reads."""
    start = html.index('id="data">') + len('id="data">')
    found: dict[str, Any] = json.loads(html[start : html.index("</script>", start)])
    return found
