"""`python -m benchmarks [GROUP ...]`: measure groups of rows and save each as it is done; none named: all.

`python -m benchmarks page` writes the page from what was saved and prints the table of targets.
"""

from __future__ import annotations

import argparse
import time

import torch

from benchmarks import absent, book

GROUPS = ("step", "store", "harvest", "evaluate", "growth", "precision")
BY_ITSELF = ("run",)
"""Not part of all: it runs the whole pipeline."""


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join((*GROUPS, *BY_ITSELF, "page")))
    parser.add_argument("--variant", help="of step and precision: this one alone")
    parser.add_argument("--threads", type=int, default=1, help="of torch; 1 is what a training target has")
    asked = parser.parse_args()
    unknown = set(asked.groups) - {*GROUPS, *BY_ITSELF, "page"}
    if unknown:
        parser.error(
            f"there is no group {', '.join(sorted(unknown))}: choose of {', '.join(GROUPS)}, run, page"
        )
    if asked.groups == ["page"]:
        from benchmarks import page

        page.write(book.FOLDER)
        return
    torch.set_num_threads(asked.threads)
    absent.stand_in()
    for group in asked.groups or GROUPS:
        measure(group, asked.variant)


def measure(group: str, variant: str | None) -> None:
    """Every row of `group`, saved one by one."""
    if group == "step":
        from benchmarks.step import rows
    elif group == "precision":
        from benchmarks.step import precision_rows as rows
    elif group == "store":
        from benchmarks.store import rows
    elif group == "harvest":
        from benchmarks.harvest import rows
    elif group == "evaluate":
        from benchmarks.evaluate import rows
    elif group == "growth":
        from benchmarks.growth import rows
    else:
        from benchmarks.whole import rows
    start = time.perf_counter()
    for key, record in rows(variant):
        book.save(key, record)
        print(f"{key}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
