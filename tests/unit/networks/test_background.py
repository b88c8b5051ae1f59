"""Pictures without their figure."""

import torch

from animcli.networks.background import background, fill_figure


def slope(height: int, width: int) -> torch.Tensor:
    """(1, 3, height, width): a sky that grows darker downwards and redder to the right."""
    rows = torch.linspace(-0.8, 0.8, height)[:, None].expand(height, width)
    columns = torch.linspace(-0.5, 0.5, width)[None].expand(height, width)
    return torch.stack([columns, rows, rows])[None].contiguous()


def test_a_slope_goes_on_behind_the_figure() -> None:
    picture, figure = slope(64, 48), torch.zeros(1, 1, 64, 48)
    figure[..., 16:50, 18:30] = 1
    filled = fill_figure(torch.where(figure > 0, 1.0, picture), figure)
    # 0.001 off; means of blocks alone, not smoothed, are 0.04.
    torch.testing.assert_close(filled, picture, rtol=0, atol=0.01)
    torch.testing.assert_close(filled * (1 - figure), picture * (1 - figure))


def test_nothing_of_the_figure_shines_through_where_it_may_be() -> None:
    figure = torch.zeros(1, 1, 32, 32)
    figure[..., 8:24, 8:24] = 1
    figure[..., 7, 8:24] = 0.6  # an edge that it isn't sure of
    picture = torch.where(figure > 0, 1.0, -1.0).expand(1, 3, 32, 32)
    torch.testing.assert_close(background(picture, figure), torch.full_like(picture, -1.0))


def test_where_all_is_figure_nothing_is_made_up() -> None:
    picture = torch.rand(1, 3, 16, 24)
    assert not fill_figure(picture, torch.ones(1, 1, 16, 24)).any()
