"""Encoders, decoders and embeddings: shapes at any size, the counts of their docstrings, and what each promises."""

from __future__ import annotations

import re

import pytest
import torch

from airctl.config import Config, override
from airctl.model import DECODERS, EMBEDDINGS, ENCODERS
from airctl.model.decoders import BroadcastDecoder


def counted(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def sizes(*settings: str) -> Config:
    return override(Config(), settings)


@pytest.mark.parametrize("glimpse", [2, 7, 20, 28])
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_take_glimpses_of_any_size_and_batch(name: str, glimpse: int) -> None:
    """[..., G, G] -> [..., size], each glimpse by itself."""
    encoder = ENCODERS[name](sizes(f"model.glimpse={glimpse}", "model.glimpse_hidden=9"))
    seen = torch.rand(2, 3, glimpse, glimpse)
    features = encoder(seen)
    assert features.shape == (2, 3, encoder.size)
    torch.testing.assert_close(encoder(seen[:, 1]), features[:, 1])


@pytest.mark.parametrize("glimpse", [2, 7, 20, 28])
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_draw_any_size_and_start_nearly_empty(name: str, glimpse: int) -> None:
    """[..., C] -> [..., G, G] in (0, 1), at first about sigmoid(decoder_bias); darker at the edge if it fades."""
    torch.manual_seed(0)
    decoder = DECODERS[name](sizes(f"model.glimpse={glimpse}", "model.what=5", "model.decoder_bias=-3.0"))
    z_what = torch.randn(2, 3, 5)
    drawn = decoder(z_what)
    assert drawn.shape == (2, 3, glimpse, glimpse)
    assert ((drawn > 0) & (drawn < 0.3)).all()
    assert drawn.mean().item() == pytest.approx(torch.sigmoid(torch.tensor(-3.0)).item(), abs=0.03)
    torch.testing.assert_close(decoder(z_what[:, 1]), drawn[:, 1])
    torch.manual_seed(0)
    faded = DECODERS[name](
        sizes(f"model.glimpse={glimpse}", "model.what=5", "model.decoder_bias=-3.0", "model.fade=0.5")
    )
    torch.testing.assert_close(faded(z_what), drawn * faded.window)
    assert (drawn[0, 0] - drawn[1, 1]).abs().max() > 1e-4, "z_what matters"


@pytest.mark.parametrize("table", [ENCODERS, DECODERS])
def test_docstrings_have_the_number_of_parameters(table: dict[str, object]) -> None:
    """With the default sizes, to the last one."""
    for make in table.values():
        part = make(Config())  # type: ignore[operator]
        assert f"{counted(part):_}".replace("_", " ") in re.sub(r"\s+", " ", type(part).__doc__), type(part)


def test_the_embeddings_have_the_parameters_that_are_told() -> None:
    """34 400 and 14 304, on a canvas of any side."""
    assert [counted(EMBEDDINGS[name](side)) for name in ("resnet", "conv") for side in (50, 80)] == [
        34_400, 34_400, 14_304, 14_304,
    ]  # fmt: skip
    told = EMBEDDINGS["resnet"].__doc__
    assert "34 400" in told
    assert "14 304" in told


def test_a_broadcast_decoder_knows_where_a_pixel_is() -> None:
    """Without the places, convolutions of one vector everywhere draw the same at every pixel within."""
    torch.manual_seed(0)
    decoder = BroadcastDecoder(4, 15, 0.0)
    inner = decoder(torch.randn(1, 4))[0, 3:-3, 3:-3]
    assert inner.std() > 1e-3
    decoder.places.zero_()
    assert decoder(torch.randn(1, 4))[0, 3:-3, 3:-3].std() < 1e-6
