"""The page as text: whole, closed to the network, the same twice, and harmless whatever a token is."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.console.errors import BadInput
from pipeline.numbers.files import write_json
from pipeline.page.render import inline
from pipeline.stages import page
from tests.page.whole import HOSTILE, embedded

VOID = {"meta", "input", "circle", "img", "br"}


class Tree(HTMLParser):
    """Start tags in order; closing tags must match."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return (written / "reports/index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tree(html: str) -> Tree:
    found = Tree()
    found.feed(html)
    found.close()
    assert found.open == []
    return found


def test_every_part_is_there(tree: Tree) -> None:
    sections = {attributes.get("id") for tag, attributes in tree.tags if tag == "section"}
    assert sections == {
        "asked",
        "glance",
        "scores",
        "pairs",
        "pareto",
        "training",
        "letters",
        "probing",
        "persistence",
        "stability",
        "truth",
        "claims",
        "latents",
        "notes",
        "made",
    }
    linked = {attributes["href"] for tag, attributes in tree.tags if tag == "a"}
    assert {f"#{name}" for name in sections} - {"#notes"} <= linked
    text = " ".join(tree.text)
    assert "0.95 to" in text or " to 0." in text
    assert "torch==2.13.0" in text
    assert "temporal against standard" in text
    assert "temporal (<i>twin</i>) not trained at any L0 target of this run" in text
    assert "not comparable" in text


def test_nothing_is_loaded_and_the_policy_forbids_it(tree: Tree) -> None:
    for tag, attributes in tree.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
    policy = next(a["content"] for t, a in tree.tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy


def test_hostile_tokens_stay_text_inside_the_json(html: str, tree: Tree) -> None:
    assert [tag for tag, _ in tree.tags].count("script") == 3
    start = html.index('id="data">') + len('id="data">')
    assert "<" not in html[start : html.index("</script>", start)]
    for file in embedded(html)["browser"]:
        assert file["words"][: len(HOSTILE)] == HOSTILE


def test_ground_truth_has_no_probing(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its L0 targets are its own; a chart without rows draws nothing and warns."""
    shutil.copytree(written, tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    summary = Path("reports/tables/summary.tsv")
    lines = summary.read_text(encoding="utf-8").splitlines()
    moved = [line.replace("l0-4\t4\t", "l0-5\t5\t") if "\tground_truth\t" in line else line for line in lines]
    assert moved != lines
    summary.write_text("\n".join(moved) + "\n", encoding="utf-8")
    page.run()
    drawn = embedded(Path("reports/index.html").read_text(encoding="utf-8"))["charts"]["probing"]
    titles = [chart["title"]["text"] for chart in drawn]
    assert [title.rsplit(", ", 1)[1] for title in titles] == ["L0 target 4", "L0 target 16"]


def test_names_of_tasks_are_text(html: str) -> None:
    assert "<b>sea</b>" not in html


def test_a_script_cannot_end_its_element() -> None:
    assert str(inline("'</script>' + '<!--' + '<SCRIPT' + (a<b)")) == (
        "'\\x3c/script>' + '\\x3c!--' + '\\x3cSCRIPT' + (a<b)"
    )


def test_the_same_inputs_give_the_same_bytes(
    written: Path, html: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(written, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    page.run()
    assert Path("reports/index.html").read_text(encoding="utf-8") == html
    assert str(tmp_path) not in html


def test_a_damaged_and_a_missing_artefact_name_their_stage(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(written / "reports", tmp_path / "reports")
    shutil.copytree(written / "requirements", tmp_path / "requirements")
    shutil.copy2(written / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    latents = Path("reports/latents/topk/latents.json")
    latents.write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match=r"damaged.*dvc repro -f latents@topk"):
        page.run()
    latents.unlink()
    with pytest.raises(BadInput, match=r"missing.*dvc repro latents@topk"):
        page.run()


def test_a_users_path_is_not_shown(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(written, tmp_path / "given")
    monkeypatch.chdir(tmp_path / "given")
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("external: {}", "external: {mine: {path: secret-place}}"))
    assert "secret-place" in Path("params.yaml").read_text()
    write_json(
        Path("reports/latents/mine/latents.json"),
        {"schema": 2, "variant": "mine", "params": {}, "words": [], "text": [], "saes": []},
    )
    page.run()
    html = Path("reports/index.html").read_text(encoding="utf-8")
    assert "secret-place" not in html
    assert "external.mine" in html
