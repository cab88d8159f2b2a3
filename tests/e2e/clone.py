"""A throwaway copy of the repository in which DVC runs as a user would run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.common import ROOT


@dataclass(frozen=True)
class Outcome:
    """What one command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def executed(self) -> set[str]:
        """The stages whose command ran (neither unchanged nor restored from the run-cache)."""
        return set(re.findall(r"^Running stage '([^']+)':", self.stdout, re.MULTILINE))

    @property
    def restored(self) -> set[str]:
        """The stages whose outputs came back from the run-cache."""
        return set(re.findall(r"^Stage '([^']+)' is cached", self.stdout, re.MULTILINE))


@dataclass(frozen=True)
class Clone:
    """One copy; every command runs in `root` with nothing of the user's configuration."""

    root: Path
    warm: bool = False
    """Whether stages start warm: worth a server where many run."""

    def environment(self) -> dict[str, str]:
        """This process's environment, with the tests' Python first and settings kept inside the copy."""
        private = self.root / ".dvc/tmp"
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "DVC_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SAELINE_WARM": str(int(self.warm)),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(private / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(private / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(private / "system"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def run(self, *command: str, code: int = 0) -> Outcome:
        """Run `command`, which must end with exit code `code`."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1100,
        )
        report = f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        assert done.returncode == code, report
        return Outcome(done.returncode, done.stdout, done.stderr)

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed."""
        return self.run("git", *arguments).stdout

    def dvc(self, *arguments: str) -> Outcome:
        """Run DVC."""
        return self.run("dvc", *arguments)

    def pipeline(self, *arguments: str, code: int = 0) -> Outcome:
        """Run `python -m pipeline`."""
        return self.run("python", "-m", "pipeline", *arguments, code=code)

    def commit(self, message: str) -> None:
        """Commit everything that is not ignored."""
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def params(self) -> dict[str, Any]:
        """The tree of params.yaml."""
        return YAML(typ="safe", pure=True).load((self.root / "params.yaml").read_text(encoding="utf-8"))

    def set_params(self, tree: dict[str, Any]) -> None:
        """Replace params.yaml."""
        with (self.root / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(tree, file)

    def lock(self) -> dict[str, dict[str, Any]]:
        """Stage name to its entry in dvc.lock."""
        return YAML(typ="safe", pure=True).load((self.root / "dvc.lock").read_text())["stages"]

    def copy(self, to: Path) -> Clone:
        """The same repository with its outputs and cache at another place."""
        shutil.copytree(self.root, to, symlinks=True, ignore=shutil.ignore_patterns("warm-*"))
        return Clone(to)


def working_tree(to: Path) -> Clone:
    """A new repository with the files of the working tree that git does not ignore, not yet committed."""
    command = ["git", "ls-files", "-coz", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for entry in filter(None, listed.split("\0")):
        source = ROOT / entry
        # results of the repository itself would only slow the copy down and hide what the test makes
        left = entry.startswith(("tests/", "benchmarks/", "docs/", "dvc.lock"))
        if source.is_file() and (not left or entry.startswith("docs/tuning/")):
            (to / entry).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / entry)
    clone = Clone(to)
    clone.run("git", "init", "-q", "-b", "main")
    for key, value in (
        ("user.name", "Test"),
        ("user.email", "test@example.org"),
        ("commit.gpgsign", "false"),
    ):
        clone.git("config", key, value)
    return clone
