"""A hook point has one name in each dialect, and anything else is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import Site, chosen_site
from pipeline.params import Params
from tests.lm import tiny


@pytest.mark.parametrize("name", ["resid_post.12", "blocks.12.hook_resid_post"])
def test_our_name_and_transformer_lens_mean_the_same(name: str) -> None:
    site = Site.parse(name)
    assert (site.kind, site.layer) == ("resid_post", 12)
    assert (str(site), site.hook_name) == ("resid_post.12", "blocks.12.hook_resid_post")
    assert Site.parse(str(site)) == Site.parse(site.hook_name) == site


@pytest.mark.parametrize(
    "name", ["mlp_out.1", "resid_pre.1", "blocks.1.hook_mlp_out", "resid_post", "resid_post.-1", "1", 1, None]
)
def test_what_is_no_site_here_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match=r"is no site that can be read; .* is `resid_post\.1`"):
        Site.parse(name)
    params = Params({"profile": "p", "profiles": {"p": {"harvest": {"site": name}}}})
    with pytest.raises(BadInput, match=r"`profiles\.p\.harvest\.site`: .* is no site"):
        chosen_site(params)


def test_sites_are_in_order_of_depth() -> None:
    assert sorted(Site("resid_post", layer) for layer in (10, 2, 1))[0] == Site("resid_post", 1)


@pytest.mark.parametrize(
    ("kind", "blocks"),
    [("gemma2", "model.layers"), ("gpt_neox", "gpt_neox.layers"), ("gpt2", "transformer.h")],
)
def test_the_module_of_transformers(kind: str, blocks: str) -> None:
    model = tiny.model(kind)
    base = model.base_model
    assert (
        model.get_submodule(Site("resid_post", 1).module(blocks))
        is (getattr(base, "layers", None) or base.h)[1]
    )


def test_a_site_costs_no_torch() -> None:
    code = "import sys, pipeline.lm.core.site; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
