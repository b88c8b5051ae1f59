"""What comparisons with the originals' numbers share."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def no_gradients() -> Iterator[None]:
    """None but where a test asks for them."""
    with torch.no_grad():
        yield
