"""Text and labelled texts from files on disk."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from pipeline.console.errors import BadInput
from pipeline.params.experiment import UNUSED
from pipeline.text.choose import at_most
from pipeline.text.labelled import LabelledSet


def read_documents(path: Path, words: int) -> list[str]:
    """The documents of a text file or of every .txt file of a folder, in order of file name.

    Paragraphs (separated by blank lines; lines, where a file has no blank line) of one file are grouped
    in order until a document has at least `words` words, so that contexts have some continuity and
    splits by document are fine-grained even for one long book. Raises BadInput for no text.
    """
    documents = [document for file in _text_files(path) for document in _group(_read(file), words)]
    if not documents:
        raise BadInput(
            f"`inputs.text` is {path}, which has no text: name a text file or a folder of .txt files."
        )
    return documents


def _text_files(path: Path) -> list[Path]:
    if path.name == UNUSED or not path.exists():
        raise BadInput(f"`inputs.text` is {path}: name an existing text file or a folder of .txt files.")
    return sorted(path.rglob("*.txt")) if path.is_dir() else [path]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 (byte {error.start}): convert it.") from None


def _group(text: str, words: int) -> list[str]:
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text)]
    separator = "\n\n"
    if len(paragraphs) == 1:
        paragraphs, separator = [line.strip() for line in text.splitlines()], "\n"
    documents: list[str] = []
    waiting: list[str] = []
    for paragraph in filter(None, paragraphs):
        waiting.append(paragraph)
        if sum(len(each.split()) for each in waiting) >= words:
            documents.append(separator.join(waiting))
            waiting = []
    return [*documents, separator.join(waiting)] if waiting else documents


def csv_sets(path: Path, per_class: int, seed: int) -> list[LabelledSet]:
    """One labelled set per CSV file (columns text, label), named after the file; [] when not used.

    Raises BadInput for a missing path or column, an empty cell or an unreadable file.
    """
    if path.name == UNUSED:
        return []
    if not path.exists():
        raise BadInput(f"`inputs.labels` is {path}: name an existing CSV file or a folder of CSV files.")
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise BadInput(f"`inputs.labels` is {path}, a folder without CSV files: put some there.")
    return [_csv_set(file, per_class, seed) for file in files]


def _csv_set(path: Path, per_class: int, seed: int) -> LabelledSet:
    rows = _csv_rows(path)
    kept = at_most(per_class, [label for _, label in rows], seed)
    return LabelledSet(path.stem, [rows[i][0] for i in kept], [rows[i][1] for i in kept])


def _csv_rows(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"text", "label"} - set(reader.fieldnames or [])
            if missing:
                raise BadInput(
                    f"{path} has no column {' and '.join(sorted(missing))}: it needs text and label."
                )
            return [_checked(row, path, reader.line_num) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is not a readable UTF-8 CSV file ({error}): convert it.") from None


def _checked(row: dict[str, str | None], path: Path, line: int) -> tuple[str, str]:
    text, label = (row["text"] or "").strip(), (row["label"] or "").strip()
    if not text or not label:
        raise BadInput(f"{path}, line {line}: text or label is empty; fill it in or remove the row.")
    return text, label
