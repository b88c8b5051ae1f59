"""What the small model begins from, before it has learnt anything."""

from pathlib import Path

import numpy as np
import torch

from animcli.networks.autoencoder import Autoencoder, AutoencoderConfig
from animcli.networks.limbs import CODE, limb_code, warp_reference
from animcli.networks.mini import SHARES, MiniConfig, MiniModel, make_clue
from animcli.training.procedural import draw_footage
from animcli.training.shards import Growth, ShardFolder, prepare, shard_path
from animcli.training.validation import baselines, descend, make_cases, paint


def untrained() -> MiniModel:
    torch.manual_seed(0)
    return MiniModel(MiniConfig(positions=0)).requires_grad_(False)


def test_an_untrained_autoencoder_gives_the_quarter_size_picture_back() -> None:
    network = Autoencoder(AutoencoderConfig())
    small = torch.rand(1, 3, 1, 1).expand(1, 3, 64, 64) * 2 - 1  # one colour loses nothing
    with torch.inference_mode():
        torch.testing.assert_close(network(small), small)


def test_an_untrained_model_gives_the_moved_reference() -> None:
    model, noise = untrained(), torch.randn(2, 12, 1, 8, 8)
    moved = torch.randn(2, 12, 1, 8, 8)
    pose = model.guider(torch.randn(2, CODE, 16, 16))[:, :, None]
    clean = model(noise, torch.tensor(999), model.unet.see(), pose, moved)
    # At the last time step nothing of the latent is left in the noise.
    torch.testing.assert_close(clean, moved)


def test_at_low_noise_the_guess_is_what_is_seen() -> None:
    model, seen = untrained(), torch.randn(1, 12, 1, 8, 8)
    pose = model.guider(torch.zeros(1, CODE, 16, 16))[:, :, None]
    clean = model(seen, torch.tensor(0), model.unet.see(), pose)
    torch.testing.assert_close(clean, SHARES[0].sqrt() * seen)


def test_sampling_finds_what_a_perfect_model_says() -> None:
    truth = torch.randn(2, 12, 8, 8)
    for steps in (1, 3, 8):
        found = descend(torch.randn(2, 12, 8, 8), lambda x, t: truth, SHARES, steps)
        torch.testing.assert_close(found, truth)


def test_painting_with_an_untrained_model_gives_the_warped_reference() -> None:
    cases = make_cases([draw_footage(800_000, 1, 64)], 1)
    coder = Autoencoder(AutoencoderConfig()).requires_grad_(False)
    made = paint(untrained(), coder, cases, SHARES, 1)
    with torch.inference_mode():
        torch.testing.assert_close(made, coder(cases.warped), rtol=0, atol=1e-5)
    figures = baselines(cases, coder)
    assert figures["autoencoder"]["psnr"] > figures["copy"]["psnr"]


def test_a_reference_warped_to_its_own_pose_stays_as_it_is() -> None:
    clip = draw_footage(3, 0, 64)
    picture = torch.from_numpy(clip.pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    pose = (torch.from_numpy(clip.joints), torch.ones(1, 18, dtype=torch.bool))
    warped = warp_reference(picture, pose, pose)
    # Bilinear sampling at pixel centres computed in float32.
    torch.testing.assert_close(warped, picture, rtol=0, atol=1e-3)


def test_codes_move_with_the_figure() -> None:
    joints = torch.from_numpy(draw_footage(3, 0, 64).joints) / 2 + 0.1
    seen = torch.ones(1, 18, dtype=torch.bool)
    here = limb_code(joints, seen, (16, 16))[:, :50]  # without the position
    there = limb_code(joints + 4 / 16, seen, (16, 16))[:, :50]
    torch.testing.assert_close(there[..., 4:, 4:], here[..., :-4, :-4], rtol=0, atol=1e-4)


def test_nobody_seen_gives_no_limbs() -> None:
    code = limb_code(torch.rand(1, 18, 2), torch.zeros(1, 18, dtype=torch.bool), (8, 8))
    assert not code[:, :50].any()


def test_shards_give_back_what_was_prepared(tmp_path: Path) -> None:
    coder = Autoencoder(AutoencoderConfig())
    clips = [draw_footage(seed, 2, 64) for seed in (1, 2, 3)]
    prepare(clips[:2], coder, shard_path(tmp_path, 0))
    folder = ShardFolder(tmp_path, Growth(first=1, every=5, most=2))
    assert folder.at(5) is None  # the second shard isn't there yet
    shards = folder.at(4)
    assert shards is not None
    prepare(clips[2:], coder, shard_path(tmp_path, 1))
    more = folder.at(5)
    assert more is not None
    assert (len(shards), len(more), more.targets) == (2, 3, 2)
    batch = more.batch([2, 0], [[1], [0]])
    np.testing.assert_array_equal(batch.joints[0], clips[2].joints[[0, 2]])
    np.testing.assert_array_equal(batch.seen[1], clips[0].seen[[0, 1]])
    picture = torch.from_numpy(clips[2].pictures[2:]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        expected = coder.encode(picture)
    # Latents are worked out in bfloat16, 8 bits, and kept in float16.
    torch.testing.assert_close(batch.targets[0], expected, rtol=0.02, atol=0.02)


def test_a_clue_holds_its_parts() -> None:
    moved, still = torch.randn(1, 12, 4, 4), torch.randn(1, 12, 4, 4)
    clue = make_clue(moved, still, torch.ones(1, CODE, 8, 8))
    torch.testing.assert_close(clue[:, :12], moved)
    torch.testing.assert_close(clue[:, 12:24], still)
    torch.testing.assert_close(clue[:, 24:], torch.ones(1, CODE, 4, 4))
