"""saebench: what the evaluations found, as SAEBench's result files, for its own plots and leaderboards.

Writes reports/saebench/{core,absorption,sparse_probing}, one file per SAE; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console.errors import BadInput
from pipeline.export.saebench import Subject, absorption, core, probing
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.probing.section import ProbingSection
from pipeline.metrics.reconstruction.section import ReconstructionSection
from pipeline.numbers.document import Identity, Results, read_beside, read_results, stage_of, train_stage
from pipeline.numbers.files import read_json, write_json
from pipeline.numbers.number import Number
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.params.experiment import external, variants
from pipeline.params.read import Params
from pipeline.stages.common.files import (
    LETTERS,
    PROBING,
    REPORTS,
    evaluation_folder,
    external_folder,
    external_stage,
    fresh,
    sae_folder,
)
from pipeline.tasks.common.disk import load_facts
from pipeline.tasks.letters import task as letter_task
from pipeline.tasks.letters.section import LetterTaskSection
from pipeline.tasks.probing import task as probing_task
from pipeline.tasks.probing.section import ProbingTaskSection

if TYPE_CHECKING:
    from pandas import DataFrame

TABLES = {
    "reconstruction": "contexts.tsv", "behavior": "contexts.tsv", "absorption": "letters.tsv",
    "probing": "problems.tsv",
}  # fmt: skip
"""Each evaluation that is read, and its table that is."""

KINDS = ("core", "absorption", "sparse_probing")


@dataclass(frozen=True)
class Evaluated:
    """results.json and one table of an evaluation of one variant."""

    results: Results
    table: DataFrame

    @classmethod
    def of(cls, evaluation: str, variant: str, elsewhere: bool) -> Evaluated:
        """What `evaluation` wrote of `variant`, trained `elsewhere` or here; raises BadInput when nothing."""
        folder = evaluation_folder(evaluation, variant)
        results = read_results(folder, stage_of(evaluation, variant, elsewhere))
        return cls(results, read_beside(folder, results, TABLES[evaluation]))

    def numbers(self, sae: Identity) -> Mapping[str, Number]:
        """The SAE's numbers; raises BadInput when it has none, or those of other weights."""
        for row in self.results.rows:
            if _which(row.identity) == _which(sae):
                return row.numbers
        raise BadInput(
            f"The {self.results.evaluation} of {self.results.variant} was measured on other SAEs than its "
            f"reconstruction: run `dvc repro {self.results.stage}`."
        )

    def rows(self, sae: Identity) -> DataFrame:
        """The SAE's rows of the table."""
        table = self.table
        return table[(table.label == sae.label) & (table.seed == sae.seed) & (table.run == sae.run)]


def _which(sae: Identity) -> tuple[str, int, str, str | None]:
    return sae.label, sae.seed, sae.run, sae.sae_sha256


def run() -> None:
    """Write the files of every SAE that has the numbers for them."""
    params = read_params()
    taken = variants(params)
    settings = _Settings(params)
    written: dict[Path, Any] = {}
    for variant in [*taken, *external(params, taken)]:
        own = variant in taken
        found = {evaluation: Evaluated.of(evaluation, variant, not own) for evaluation in TABLES}
        for row in found["reconstruction"].results.rows:
            sae = row.identity
            folder = sae_folder(variant, sae.seed) if own else external_folder(variant)
            maker = train_stage(variant, sae.seed) if own else external_stage(variant)
            subject = Subject(sae, read_json(folder / sae.run / "cfg.json", maker))
            numbers = {stage: each.numbers(sae) for stage, each in found.items()}
            letters, problems = (found[stage].rows(sae) for stage in ("absorption", "probing"))
            contents = (
                core(subject, numbers["reconstruction"], numbers["behavior"], settings.core(subject, found)),
                absorption(subject, numbers["absorption"], letters, settings.absorption(subject)),
                probing(subject, numbers["probing"], problems, settings.probing(subject)),
            )
            for kind, content in zip(KINDS, contents, strict=True):
                if content is not None:
                    written[Path(kind) / subject.file] = content
    place = fresh(REPORTS / "saebench")
    for path, content in written.items():
        write_json(place / path, content)


class _Settings:
    """`eval_config` of each file: our settings under SAEBench's names, without those that it alone has."""

    def __init__(self, params: Params) -> None:
        self._batch = params.get("reconstruction", ReconstructionSection).batch_contexts
        self._absorption = params.get("absorption", AbsorptionSection)
        self._k = params.get("probing", ProbingSection).k
        self._seeds = (
            params.get("letter_task", LetterTaskSection).seed,
            params.get("probing_task", ProbingTaskSection).seed,
        )
        self._common = {"llm_dtype": params.get("profile.compute", ComputeSection).lm_precision}
        source = params.value("profile.text.source")
        self._text = params.value("profile.text.name") if source == "hub" else source
        self._length = params.value("profile.text.context_length")
        self._letters = load_facts(LETTERS, letter_task.NAME, letter_task.STAGE)
        self._labelled = load_facts(PROBING, probing_task.NAME, probing_task.STAGE)

    def core(self, subject: Subject, found: Mapping[str, Evaluated]) -> dict[str, Any]:
        """Batches are those of reconstruction, which SAEBench's `mse` depends on."""
        batches = {
            stage: -(-len(found[stage].rows(subject.sae)) // self._batch)
            for stage in ("behavior", "reconstruction")
        }
        return {
            **self._common, "model_name": subject.sae.model, "dataset": self._text,
            "context_size": self._length, "batch_size_prompts": self._batch,
            "n_eval_reconstruction_batches": batches["behavior"],
            "n_eval_sparsity_variance_batches": batches["reconstruction"],
            "compute_kl": True, "compute_ce_loss": True, "compute_l2_norms": True,
            "compute_sparsity_metrics": True, "compute_variance_metrics": True,
            "compute_featurewise_density_statistics": True,
            "compute_featurewise_weight_based_metrics": True,
            "exclude_special_tokens_from_reconstruction": False,
        }  # fmt: skip

    def absorption(self, subject: Subject) -> dict[str, Any]:
        """Thresholds of `absorption`, the prompt of the letter task."""
        section = self._absorption
        return {
            **self._common, "model_name": subject.sae.model, "random_seed": self._seeds[0],
            "f1_jump_threshold": section.f1_jump, "max_k_value": section.max_k,
            "min_GT_probe_f1": section.min_probe_f1, "min_feats_for_eval": section.min_letters,
            "prompt_template": self._letters["line"].removesuffix(" X"),
        }  # fmt: skip

    def probing(self, subject: Subject) -> dict[str, Any]:
        """Sizes are those of the largest probe."""
        problems = self._labelled["problems"]
        train, test = (max(len(each["items"][split]) for each in problems) for split in ("train", "test"))
        return {
            **self._common, "model_name": subject.sae.model, "random_seed": self._seeds[1],
            "dataset_names": list(dict.fromkeys(each["labelled"] for each in problems)),
            "probe_train_set_size": train, "probe_test_set_size": test, "k_values": self._k,
            "context_length": self._labelled["facts"]["max_tokens"],
        }  # fmt: skip
