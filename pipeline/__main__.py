"""python -m pipeline STAGE: one command per stage of the pipeline, run warm where that is possible."""

from __future__ import annotations

from pipeline.console import warm


def main() -> None:
    """Run the command line in a fork of a process that has the libraries imported, or else here."""
    if not warm.ran():
        from pipeline.console.app import main as here

        here()


if __name__ == "__main__":
    main()
