"""SAEBench's sparse probing: tokens, the texts each probe saw, and every accuracy."""

import json
from pathlib import Path
from typing import Any

import torch
from sae_bench.evals.sparse_probing import main
from sae_bench.evals.sparse_probing.eval_config import SparseProbingEvalConfig
from safetensors.torch import save_file

from tests.parity.oracle import offline

TRAINING = main.probe_training
K = [1, 2, 5]


def run(folder: Path) -> None:
    """probing/tokens.safetensors; probing/{architecture}.json: probes in order, and the aggregates."""
    facts = offline.facts(folder)
    labelled = json.loads((folder / "labelled.json").read_text(encoding="utf-8"))
    offline.lend_model(main, folder)
    tokens = _lend_texts(labelled)
    config = SparseProbingEvalConfig(
        model_name=facts["name"], dataset_names=list(labelled), context_length=facts["context"],
        llm_batch_size=64, llm_dtype="float32", k_values=K,
    )  # fmt: skip
    place = offline.out(folder, "probing")
    for architecture in facts["architectures"]:
        probes = _recorded()
        found = main.run_eval(
            config, [(architecture, offline.sae(folder, architecture))], "cpu",
            str(offline.out(folder, "results", "sparse_probing")), save_activations=False,
            artifacts_path=str(offline.out(folder, "probing-cache")),
        )  # fmt: skip
        (result,) = found.values()
        offline.write(
            place / f"{architecture}.json", {"probes": probes, "means": result["eval_result_metrics"]}
        )
    save_file(tokens, place / "tokens.safetensors")


def _lend_texts(labelled: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Give SAEBench the world's sets; the returned dictionary fills with the tokens it makes of them."""
    tokens: dict[str, torch.Tensor] = {}
    original = main.dataset_utils.tokenize_data_dictionary
    for name, splits in labelled.items():
        main.dataset_info.chosen_classes_per_dataset[name] = list(splits["train"])

    def tokenize(data: dict[str, list[str]], *args: Any) -> Any:
        found = original(data, *args)
        for each in found:
            (place,) = [
                f"{name}/{split}/{each}"
                for name, splits in labelled.items() for split, texts in splits.items()
                if texts.get(each) == data[each]
            ]  # fmt: skip
            tokens[place] = found[each]["input_ids"].clone()
        return found

    main.dataset_utils.tokenize_data_dictionary = tokenize
    main.dataset_utils.get_multi_label_train_test_data = lambda name, *_: (
        labelled[name]["train"],
        labelled[name]["test"],
    )
    return tokens


def _recorded() -> list[dict[str, Any]]:
    """Every call that trains probes from here on: its k, width, items by class and split, accuracies."""
    calls: list[dict[str, Any]] = []

    def prepare(activations: dict[str, torch.Tensor], positive: str, *args: Any) -> Any:
        perms: list[torch.Tensor] = []
        original = torch.randperm

        def randperm(*sizes: Any, **kwargs: Any) -> torch.Tensor:
            perms.append(original(*sizes, **kwargs))
            return perms[-1]

        torch.randperm = randperm  # type: ignore[assignment]
        try:
            made = _PREPARE(activations, positive, *args)
        finally:
            torch.randperm = original
        items = _items({name: len(each) for name, each in activations.items()}, positive, perms)
        calls[-1]["items"].setdefault(positive, []).append(items)  # train first, then test
        return made

    def train(first: Any, second: Any, **kwargs: Any) -> Any:
        width = next(iter(first.values())).shape[1]
        calls.append({"k": kwargs.get("select_top_k"), "width": width, "items": {}})
        probes, accuracies = _TRAIN(first, second, **kwargs)
        calls[-1]["accuracies"] = {name: float(value) for name, value in accuracies.items()}
        return probes, accuracies

    TRAINING.prepare_probe_data, TRAINING.train_probe_on_activations = prepare, train
    return calls


_PREPARE, _TRAIN = TRAINING.prepare_probe_data, TRAINING.train_probe_on_activations


def _items(sizes: dict[str, int], positive: str, perms: list[torch.Tensor]) -> list[tuple[str, int]]:
    """(class, text) of each row in order, replayed from the permutations that SAEBench drew.

    One per other class, which it cuts to an equal share; one of all negatives; one of all rows.
    """
    others = [name for name in sizes if name != positive]
    share = -(-sizes[positive] // len(others))
    *own, negatives, rows = perms
    chosen = [(name, int(i)) for name, perm in zip(others, own, strict=True) for i in perm[:share]]
    rest = [chosen[int(i)] for i in negatives[: sizes[positive]]]
    both = [(positive, i) for i in range(sizes[positive])] + rest
    return [both[int(i)] for i in rows]
