"""The token lookup: each id's mean activation over the text it is fitted on."""

from __future__ import annotations

import pytest
import torch

from pipeline.metrics.common.lookup import fit

X = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 4.0], [10.0, 10.0]])
IDS = torch.tensor([7, 7, 2, 5])


def test_a_token_gets_its_mean_and_an_unknown_one_the_mean_of_all() -> None:
    lookup = fit([(X[:1], IDS[:1]), (X[1:], IDS[1:])], torch.tensor([2, 7, 9, 7]), 2)
    assert lookup.ids.tolist() == [2, 7]  # 5 is not wanted, 9 does not occur
    assert lookup.centre.tolist() == [3.5, 3.5]  # of all rows, wanted or not
    found = lookup.reconstruct(torch.tensor([7, 2, 9, 5, 1]))
    assert found.tolist() == [[2, 0], [0, 4], [3.5, 3.5], [3.5, 3.5], [3.5, 3.5]]


def test_its_codes_have_one_latent_per_known_token() -> None:
    lookup = fit([(X, IDS)], IDS, 2)
    tokens = torch.tensor([5, 1, 7, 7])
    codes = lookup.encode(tokens)
    dense = codes.dense()
    assert (dense > 0).sum(1).tolist() == [1, 0, 1, 1]
    directions = torch.nn.functional.normalize(lookup.offset, dim=1)
    torch.testing.assert_close(
        lookup.centre + dense @ directions, lookup.reconstruct(torch.tensor([5, 1, 7, 7]))
    )
    assert len(lookup.encode(torch.zeros(0, dtype=torch.int64)).value) == 0


def test_a_text_without_any_wanted_token_fits_nothing() -> None:
    with pytest.raises(ValueError, match="no wanted token occurs"):
        fit([(X, IDS)], torch.tensor([1, 3]), 2)
