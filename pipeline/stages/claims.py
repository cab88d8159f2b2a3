"""claims: the source papers' numbers beside what this run measured under the same definitions."""

from __future__ import annotations

import sys

from pipeline.claims.ledger import document, entries
from pipeline.claims.measured import Tables
from pipeline.claims.page import page
from pipeline.claims.schema import Claims, read_claims
from pipeline.claims.verdict import Here
from pipeline.compare.schemas import SCORES, SUMMARY
from pipeline.lm.core.site import chosen_site
from pipeline.numbers.files import write_json
from pipeline.numbers.table import read_table
from pipeline.params import Params, read_params
from pipeline.stages.common.files import REPORTS, TABLES, fresh


def run() -> None:
    """Write reports/claims/claims.json and claims.md; raises BadInput when the tables are missing."""
    params = read_params()
    profile = params.profile
    claims = read_claims()
    tables = Tables.of(
        read_table(TABLES / "scores.tsv", SCORES, "compare"),
        read_table(TABLES / "summary.tsv", SUMMARY, "compare"),
    )
    here = _here(params, profile, claims, tables)
    found = entries(claims, tables, here)
    folder = fresh(REPORTS / "claims")
    write_json(folder / "claims.json", document(found, here))
    (folder / "claims.md").write_text(page(found, here), encoding="utf-8")
    judged = sum(entry.verdict.outcome != "not comparable" for entry in found)
    print(f"{len(found)} printed numbers, {judged} with a verdict. Written: {folder}/", file=sys.stderr)


def _here(params: Params, profile: str, claims: Claims, tables: Tables) -> Here:
    model, text = params.value("profile.model"), params.value("profile.text")
    return Here(
        profile=profile,
        # only hub sources have a name that a paper could state
        model=str(model.get("name", model["source"])),
        layer=chosen_site(params).layer,
        n=params.value("profile.train.n"),
        text=str(text.get("name", text["source"])),
        context_length=text["context_length"],
        tokens=params.value("profile.train.tokens"),
        switches={key: params.value(key) for key in sorted(claims.switches())},
        variants=frozenset(tables.variants()),
    )
