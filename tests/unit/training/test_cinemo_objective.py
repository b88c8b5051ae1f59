"""Text is left out of some clips, and only text."""

import torch

from animcli.training.cinemo import DROP_TEXT, drop_text

TEXT = torch.arange(1.0, 1 + 2000 * 3 * 2).reshape(2000, 3, 2)
NOTHING = torch.full((1, 3, 2), -1.0)


def test_a_clip_keeps_its_text_whole_or_has_none_of_it() -> None:
    shown = drop_text(TEXT, NOTHING, torch.Generator().manual_seed(0))
    kept = (shown == TEXT).flatten(1).all(1)
    silent = (shown == NOTHING).flatten(1).all(1)
    assert (kept ^ silent).all()


def test_as_many_clips_are_silent_as_was_said() -> None:
    for share in (DROP_TEXT, 0.1):
        shown = drop_text(TEXT, NOTHING, torch.Generator().manual_seed(0), share)
        silent = float((shown == NOTHING).flatten(1).all(1).float().mean())
        deviation = (share * (1 - share) / len(TEXT)) ** 0.5
        assert abs(silent - share) < 4 * deviation  # chance exceeds it once in 16,000


def test_all_or_none_may_be_silent() -> None:
    random = torch.Generator()
    assert torch.equal(drop_text(TEXT, NOTHING, random, 0.0), TEXT)
    assert torch.equal(drop_text(TEXT, NOTHING, random, 1.0), NOTHING.expand_as(TEXT))


def test_the_same_generator_silences_the_same_clips() -> None:
    first, again, other = (
        drop_text(TEXT, NOTHING, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
