"""DVC's bookkeeping of one stage, cut where its command runs: what `dvc repro` does before, and after.

Steps of dvc/stage/__init__.py, run.py and repo/reproduce.py, called one by one, so that several commands can
run between them. They are not DVC's public interface: `KNOWN` is the version they were read in, and
tests/schedule holds that the outcome is `dvc repro`'s.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pipeline.console.errors import BadInput
from pipeline.console.whole import State
from pipeline.parallel.workers import WORKERS

KNOWN = "3.67"


@dataclass
class Command:
    """A stage whose command runs."""

    stage: Any
    process: subprocess.Popen[bytes]
    later: list[str]
    options: dict[str, Any]
    locks: ExitStack

    def ended(self) -> int | None:
        """The exit code of the first command that failed or of the last; None while one runs."""
        code = self.process.poll()
        if code == 0 and self.later:
            self.process = subprocess.Popen(_in_shell(self.later.pop(0)), **self.options)
            return None
        return code


@dataclass
class Book:
    """The repository of the current folder, its lock held except inside `away`."""

    repo: Any
    stages: dict[str, Any]
    needs: dict[str, list[str]]
    """For each stage the stages before it, in the order in which `dvc repro` goes through them."""
    changed: set[str] = field(default_factory=set)

    def begin(self, name: str, output: IO[bytes], log: IO[bytes], workers: int) -> State | Command:
        """Restore the stage, or start its command; raises a DvcException where DVC does."""
        stage = self.stages[name]
        before = [self.stages[each] for each in self.needs[name]]
        if stage.frozen or not stage.cmd:
            return self._left_to_dvc(name, before)
        if not stage.changed(False, before):
            return State.UNCHANGED
        stage.remove_outs(ignore_remove=False, force=False)
        if self._restored(stage):
            self._save(stage)
            return State.RESTORED
        return self._start(stage, output, log, workers)

    def finish(self, command: Command) -> None:
        """Hash and keep what the command of a stage has written."""
        command.locks.close()
        self._save(command.stage)

    def write(self) -> None:
        """What has changed into dvc.lock, in the order of `dvc repro`."""
        files: dict[str, list[Any]] = {}
        for name in self.stages:
            if name in self.changed:
                files.setdefault(self.stages[name].dvcfile.path, []).append(self.stages[name])
        for stages in files.values():
            stages[0].dvcfile.dump_stages(stages, update_pipeline=False)
        self.changed.clear()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let other DVC processes at the repository."""
        self.repo.lock.unlock()
        self.repo._reset()
        try:
            yield
        finally:
            self.repo.lock.lock()

    def _left_to_dvc(self, name: str, before: list[Any]) -> State:
        from dvc.repo.reproduce import _reproduce_stage

        # it writes dvc.lock itself
        return State.RESTORED if _reproduce_stage(self.stages[name], upstream=before) else State.UNCHANGED

    def _restored(self, stage: Any) -> bool:
        from dvc.stage.cache import RunCacheNotFoundError

        try:
            self.repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            stage.save_deps()
            return False
        return True

    def _start(self, stage: Any, output: IO[bytes], log: IO[bytes], workers: int) -> Command:
        from dvc.stage.run import _enforce_cmd_list, prepare_kwargs

        options = prepare_kwargs(stage, run_env={WORKERS: str(workers)})
        options |= {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": log, "process_group": 0}
        first, *later = _enforce_cmd_list(stage.cmd)
        with ExitStack() as locks:
            locks.enter_context(self._paths_of(stage))
            process = subprocess.Popen(_in_shell(first), **options)
            return Command(stage, process, later, options, locks.pop_all())

    def _paths_of(self, stage: Any) -> Any:
        """Tell other DVC processes what the command reads and writes."""
        from dvc.rwlock import rwlock

        who = f"python -m pipeline reproduce: {stage.addressing}"
        reads, writes = [dep.fs_path for dep in stage.deps], [out.fs_path for out in stage.outs]
        hardlink = self.repo.config["core"].get("hardlink_lock", False)
        return rwlock(self.repo.tmp_dir, self.repo.fs, who, reads, writes, hardlink)

    def _save(self, stage: Any) -> None:
        kept = all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs)
        stage.save(run_cache=kept)
        stage.commit()
        self.changed.add(stage.addressing)


@contextmanager
def opened(targets: list[str]) -> Iterator[Book]:
    """The book of `targets` and all they need; raises BadInput for another DVC or an unknown target."""
    import dvc
    from dvc.exceptions import DvcException

    if not dvc.__version__.startswith(f"{KNOWN}."):
        raise BadInput(f"`reproduce` knows DVC {KNOWN}, this is {dvc.__version__}: run `dvc repro` instead.")
    from dvc.dvcfile import PROJECT_FILE
    from dvc.repo import Repo, lock_repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    logging.getLogger("dvc").setLevel(logging.WARNING)  # the run shows what is done itself
    if not Path(PROJECT_FILE).exists():
        raise BadInput(f"{PROJECT_FILE} is not here: run from the repository root.")
    try:
        with Repo(_wait_for_lock=True) as repo, lock_repo(repo), repo.scm_context(quiet=True):
            graph = get_active_graph(repo.index.graph)
            planned = plan_repro(graph, collect_stages(repo, targets or [PROJECT_FILE]))
            stages = {stage.addressing: stage for stage in planned}
            needs = {each.addressing: [b.addressing for b in graph.successors(each)] for each in planned}
            book = Book(repo, stages, needs)
            try:
                yield book
            finally:
                book.write()
    except DvcException as error:
        raise BadInput(_sentence(error)) from error


def _sentence(error: BaseException) -> str:
    return f"{str(error).rstrip('.')}." if str(error) else f"DVC: {type(error).__name__}."


def _in_shell(command: str) -> Any:
    from dvc.stage.run import _make_cmd, get_executable

    return _make_cmd(get_executable(), command)
