"""Stage `absorption@VARIANT`: first-letter absorption of every SAE of one variant."""

from __future__ import annotations

from functools import cache
from typing import Any

from pipeline.console.progress import Progress
from pipeline.metrics.absorption import AbsorptionSection, measure, random_sae
from pipeline.metrics.absorption_results import (
    LETTER_COLUMNS,
    METRICS,
    PREDICTION_COLUMNS,
    WORD_COLUMNS,
    all_missing,
    letter_rows,
    prediction_rows,
    random_values,
    too_few,
    values,
    word_rows,
)
from pipeline.metrics.letter_task import LetterTask, load_letters
from pipeline.metrics.record import Value, results, row
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.stages.files import LETTERS, evaluation_folder, fresh, write_json, write_tsv
from pipeline.stages.saes import Trained, trained_saes

WHICH = ["label", "seed", "run"]


def run(variant: str) -> None:
    """Write results.json, letters.tsv, words.tsv and predictions.tsv of `variant`."""
    params = read_params()
    section = params.get("absorption", AbsorptionSection)
    device = params.get("profile.compute", ComputeSection).apply()
    task = load_letters(LETTERS)
    saes = list(trained_saes(variant, params.value("seeds"), device))
    rows, letters, words, predictions = [], [], [], []
    control = _control(task, section)
    with Progress(f"absorption {variant}", total=len(saes), unit="SAEs") as bar:
        for trained in saes:
            found, letter_table, word_table, predicted = _one(trained, task, section)
            if isinstance(task, LetterTask) and letter_table:
                found |= control(trained.sae.n, trained.control_k)
            which = {column: trained.identity[column] for column in WHICH}
            rows.append(row(trained.identity, found))
            letters += [{**which, **each} for each in letter_table]
            words += [{**which, **each} for each in word_table]
            predictions += [{**which, **each} for each in predicted]
            bar.advance(1)
    folder = fresh(evaluation_folder("absorption", variant))
    write_json(folder / "results.json", results("absorption", variant, METRICS, rows))
    write_tsv(folder / "letters.tsv", WHICH + LETTER_COLUMNS, letters)
    write_tsv(folder / "words.tsv", WHICH + WORD_COLUMNS, words)
    write_tsv(folder / "predictions.tsv", WHICH + PREDICTION_COLUMNS, predictions)


Table = list[dict[str, Any]]
Tables = tuple[dict[str, Value], Table, Table, Table]


def _one(trained: Trained, task: LetterTask | str, section: AbsorptionSection) -> Tables:
    if trained.run.status != "ok":
        return all_missing(str(trained.run.reason)), [], [], []
    if isinstance(task, str):
        return all_missing(task), [], [], []
    few = too_few(task, section)
    if few is not None:
        return few, [], [], []
    found = measure(trained.sae, task, section)
    measured = values(found, task, section)
    return (
        measured,
        letter_rows(found, task, section),
        word_rows(found, task, section),
        prediction_rows(found, task, section),
    )


def _control(task: LetterTask | str, section: AbsorptionSection) -> Any:
    """The random SAE's values by (n, k), each measured once."""

    @cache
    def control(n: int, k: int) -> dict[str, Value]:
        assert isinstance(task, LetterTask)
        sae = random_sae(task.x, n, k, section.seed)
        return random_values(measure(sae, task, section), task, section)

    return control
