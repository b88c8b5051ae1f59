"""What the small model begins from, before it has learnt anything."""

from pathlib import Path

import numpy as np
import torch

from animcli.networks.autoencoder import Autoencoder, AutoencoderConfig, fold, halve, unfold
from animcli.networks.limbs import CODE, limb_code
from animcli.networks.mini import CLUE, SHARES, MiniConfig, MiniModel, make_clue
from animcli.networks.warp import PARTS, Moved, move_parts
from animcli.training.procedural import draw_footage
from animcli.training.shards import Growth, ShardFolder, prepare, shard_path
from animcli.training.validation import baselines, descend, guesses, make_cases, paint


def untrained() -> MiniModel:
    torch.manual_seed(0)
    return MiniModel(MiniConfig(positions=0)).requires_grad_(False)


def test_an_untrained_autoencoder_gives_the_halved_picture_back() -> None:
    network = Autoencoder(AutoencoderConfig())
    small = torch.rand(1, 3, 1, 1).expand(1, 3, 64, 64) * 2 - 1  # one colour loses nothing
    with torch.inference_mode():
        torch.testing.assert_close(network(small), small)


def test_an_untrained_model_gives_the_moved_reference() -> None:
    model, noise = untrained(), torch.randn(2, 12, 1, 16, 16)
    moved = torch.randn(2, 12, 1, 16, 16)
    pose = model.guider(torch.randn(2, CODE, 16, 16))[:, :, None]
    clean = model(noise, torch.tensor(999), model.unet.see(), pose, moved)
    # At the last time step nothing of the latent is left in the noise.
    torch.testing.assert_close(clean, moved)


def test_at_low_noise_the_guess_is_what_is_seen() -> None:
    model, seen = untrained(), torch.randn(1, 12, 1, 16, 16)
    pose = model.guider(torch.zeros(1, CODE, 16, 16))[:, :, None]
    clean = model(seen, torch.tensor(0), model.unet.see(), pose)
    torch.testing.assert_close(clean, SHARES[0].sqrt() * seen)


def test_sampling_finds_what_a_perfect_model_says() -> None:
    truth = torch.randn(2, 12, 16, 16)
    for steps in (1, 3, 8):
        found = descend(torch.randn(2, 12, 16, 16), lambda x, t: truth, SHARES, steps)
        torch.testing.assert_close(found, truth)


def test_painting_with_an_untrained_model_gives_the_warped_reference() -> None:
    cases = make_cases([draw_footage(800_000, 1, 64)], 1)
    coder = Autoencoder(AutoencoderConfig()).requires_grad_(False)
    made = paint(untrained(), coder, cases, SHARES, 1)
    with torch.inference_mode():
        torch.testing.assert_close(made, guesses(cases, coder), rtol=0, atol=1e-5)
    figures = baselines(cases, coder)
    assert figures["autoencoder"]["psnr"] > figures["copy"]["psnr"]


EVERYTHING = torch.ones(1, 18, dtype=torch.bool)


def test_parts_moved_to_their_own_pose_stay_as_they_are() -> None:
    clip = draw_footage(3, 0, 64)
    picture = torch.from_numpy(clip.pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    person = (torch.from_numpy(clip.joints), EVERYTHING)
    moved = move_parts(picture, person, person)
    middle = person[0][0, [2, 3, 5, 6, 9, 12]] * 64  # of limbs
    for x, y in middle.int().tolist():
        # Where one part is nearest, it hides the others; flows are float32 on 64 pixels.
        torch.testing.assert_close(
            moved.whole[..., y, x], picture[..., y, x], rtol=0, atol=0.1
        )


def test_a_part_goes_where_its_bone_goes_and_leaves_no_ghost() -> None:
    still = torch.full((1, 18, 2), 0.5)
    still[0, 2], still[0, 3], still[0, 4] = torch.tensor(
        [[0.5, 0.2], [0.35, 0.2], [0.2, 0.2]]
    )
    still[0, 1], still[0, 8], still[0, 11] = torch.tensor(
        [[0.5, 0.2], [0.5, 0.45], [0.5, 0.45]]
    )
    asked = still.clone()
    asked[0, 3], asked[0, 4] = torch.tensor([[0.5, 0.35], [0.5, 0.5]])
    seen = torch.zeros(1, 18, dtype=torch.bool)
    seen[0, [1, 2, 3, 4, 8, 11]] = True
    arm = torch.zeros(1, 3, 64, 64)
    arm[:, 0, 12:14, 12:32] = 1  # a red forearm and upper arm, on grey
    moved = move_parts(arm, (still, seen), (asked, seen))
    assert float(moved.whole[0, 0, 24, 32]) > 0.5
    assert float(moved.whole[0, 0, :20, :24].abs().max()) < 0.05


def test_nobody_seen_leaves_the_picture_as_it_is() -> None:
    picture = torch.rand(1, 3, 32, 32)
    nobody = (torch.rand(1, 18, 2), ~EVERYTHING)
    moved = move_parts(picture, nobody, nobody)
    torch.testing.assert_close(moved.whole, picture)
    assert not moved.parts.any()


def test_latents_are_halved_pictures() -> None:
    picture = torch.rand(2, 3, 16, 24) * 2 - 1
    torch.testing.assert_close(unfold(fold(halve(picture))), halve(picture))
    assert fold(halve(picture)).shape == (2, 12, 4, 6)


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
    clips = [draw_footage(seed, 2, 64) for seed in (1, 2, 3)]
    prepare(clips[:2], shard_path(tmp_path, 0))
    folder = ShardFolder(tmp_path, Growth(first=1, every=5, most=2))
    assert folder.at(5) is None  # the second shard isn't there yet
    shards = folder.at(4)
    assert shards is not None
    prepare(clips[2:], shard_path(tmp_path, 1))
    more = folder.at(5)
    assert more is not None
    assert (len(shards), len(more), more.targets) == (2, 3, 2)
    batch = more.batch([2, 0], [[1], [0]])
    np.testing.assert_array_equal(batch.joints[0], clips[2].joints[[0, 2]])
    np.testing.assert_array_equal(batch.seen[1], clips[0].seen[[0, 1]])
    picture = torch.from_numpy(clips[2].pictures[2:]).permute(0, 3, 1, 2) / 127.5 - 1
    # Kept as bytes: half a level is lost.
    torch.testing.assert_close(batch.targets[0], halve(picture), rtol=0, atol=0.5 / 127)


def test_half_a_batch_is_of_pictures_half_the_size(tmp_path: Path) -> None:
    prepare([draw_footage(seed, 2, 64) for seed in (1, 2)], shard_path(tmp_path, 0))
    shards = ShardFolder(tmp_path, Growth(first=1, every=5, most=1)).at(0)
    assert shards is not None
    batch = shards.batch([0, 1], [[0, 1], [1, 0]])
    small = batch.halved()
    assert small.targets.shape == (2, 2, 3, 16, 16)
    assert small.weights.shape == (2, 2, 1, 4, 4)
    torch.testing.assert_close(small.reference, halve(batch.reference))
    torch.testing.assert_close(small.targets[1, 1], halve(batch.targets[1, 1]))
    torch.testing.assert_close(small.joints, batch.joints)


def test_a_clue_holds_its_parts() -> None:
    moved = Moved(torch.randn(1, 3, 16, 16), torch.randn(1, PARTS, 3, 16, 16))
    still = torch.randn(1, 12, 8, 8)
    clue = make_clue(moved, still, torch.ones(1, CODE, 8, 8))
    assert clue.shape == (1, CLUE, 8, 8)
    head = clue[:, 12 * (PARTS - 1) : 12 * PARTS]
    torch.testing.assert_close(head, fold(moved.parts[:, -1]))
    torch.testing.assert_close(clue[:, 12 * PARTS :][:, :12], fold(moved.whole))
    torch.testing.assert_close(clue[:, 12 * PARTS + 12 :][:, :12], still)
    torch.testing.assert_close(clue[:, -CODE:], torch.ones(1, CODE, 8, 8))
