"""What the small model begins from, before it has learnt anything."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from animcli.networks.autoencoder import Autoencoder, AutoencoderConfig, fold, halve, unfold
from animcli.networks.heads import Tones, turned_heads
from animcli.networks.limbs import CODE, heads, limb_code
from animcli.networks.mini import CLUE, DECIDED, SHARES, MiniConfig, MiniModel, make_clue
from animcli.networks.warp import LAYERS, OFFSET, PARTS, Moved, move_parts
from animcli.training.procedural import draw_footage
from animcli.training.shards import (
    Batch,
    Growth,
    ShardFolder,
    prepare,
    shard_path,
    showing_new_faces,
)
from animcli.training.single_frames import Recipe, denoising_loss
from animcli.training.validation import (
    baselines,
    descend,
    make_cases,
    paint,
    whole_size,
)

LIMBS = CODE - 2 - 12
"""Channels of a code before the position and its waves."""

MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
"""Joints, each left one where the right one is."""


def untrained() -> MiniModel:
    torch.manual_seed(0)
    return MiniModel(MiniConfig(positions=0)).requires_grad_(False)


def test_an_untrained_autoencoder_gives_the_halved_picture_back() -> None:
    network = Autoencoder(AutoencoderConfig())
    small = torch.rand(1, 3, 1, 1).expand(1, 3, 64, 64) * 2 - 1  # one colour loses nothing
    with torch.inference_mode():
        torch.testing.assert_close(network(small), small)


def as_it_is(moved: Moved) -> torch.Tensor:
    """The layers mixed as a network does that has nothing to say."""
    height, width = moved.picture.shape[-2:]
    still = torch.zeros(len(moved.picture), 2 * PARTS, height // 2, width // 2)
    nothing = torch.zeros(len(moved.picture), LAYERS, height, width)
    return moved.mix(still, nothing, DECIDED)[0]


def test_an_untrained_model_gives_the_moved_reference() -> None:
    model, noise = untrained(), torch.randn(2, 12, 1, 16, 16)
    people = [(torch.rand(2, 18, 2), EVERYTHING.expand(2, 18)) for _ in range(2)]
    moved = move_parts(torch.randn(2, 3, 32, 32), *people)
    pose = model.guider(torch.randn(2, CODE, 16, 16))[:, :, None]
    clean, _ = model(noise, torch.tensor(999), model.unet.see(), pose, moved)
    # At the last time step nothing of the latent is left in the noise.
    torch.testing.assert_close(clean[:, :, 0], fold(as_it_is(moved)))


def test_samples_without_a_clue_begin_from_nothing() -> None:
    model, noise = untrained(), torch.randn(2, 12, 1, 16, 16)
    person = (torch.rand(2, 18, 2), EVERYTHING.expand(2, 18))
    moved = move_parts(torch.randn(2, 3, 32, 32), person, person)
    pose = model.guider(torch.randn(2, CODE, 16, 16))[:, :, None]
    told = torch.tensor([True, False])
    clean, _ = model(noise, torch.tensor(999), model.unet.see(), pose, moved, told)
    torch.testing.assert_close(clean[0, :, 0], fold(as_it_is(moved))[0])
    assert not clean[1].any()


def test_nothing_is_added_where_only_the_background_is_seen() -> None:
    model, noise = untrained(), torch.randn(2, 12, 1, 16, 16)
    people = [
        (0.4 + 0.2 * torch.rand(2, 18, 2), EVERYTHING.expand(2, 18)) for _ in range(2)
    ]
    figure = torch.zeros(2, 1, 32, 32)
    figure[..., 8:24, 8:24] = 1
    moved = move_parts(torch.randn(2, 3, 32, 32), *people, figure=figure)
    pose = model.guider(torch.randn(2, CODE, 16, 16))[:, :, None]
    told = torch.tensor([True, False])

    def clean(sure: bool) -> torch.Tensor:
        asked = (noise, torch.tensor(999), model.unet.see(), pose, moved, told, sure)
        return model(*asked)[0][:, :, 0]

    before = [clean(sure) for sure in (True, False)]
    assert isinstance(model.unet.conv_out.bias, torch.Tensor)
    model.unet.conv_out.bias[:12] = 1  # what is added, everywhere
    added, learning = (
        after - was for after, was in zip((clean(True), clean(False)), before, strict=True)
    )
    far = moved.nearness.amax(dim=1, keepdim=True) == 0
    far = -torch.nn.functional.max_pool2d(-far.float(), 3, 1, 1) > 0
    far = torch.nn.functional.pixel_unshuffle(far.expand(-1, 3, -1, -1), 2)
    assert 0.2 < far[0].float().mean() < 0.9
    assert not added[0][far[0]].any()
    assert float(added[0].max()) > 0.1
    # A sample without a clue has no background to trust, and learning looks everywhere.
    assert bool((added[1] > 0.1).all())
    assert bool((learning > 0.1).all())


def test_at_low_noise_the_guess_is_what_is_seen() -> None:
    model, seen = untrained(), torch.randn(1, 12, 1, 16, 16)
    pose = model.guider(torch.zeros(1, CODE, 16, 16))[:, :, None]
    clean, _ = model(seen, torch.tensor(0), model.unet.see(), pose)
    torch.testing.assert_close(clean, SHARES[0].sqrt() * seen)


def test_sampling_finds_what_a_perfect_model_says() -> None:
    truth = torch.randn(2, 12, 16, 16)
    for steps in (1, 3, 8):
        found = descend(torch.randn(2, 12, 16, 16), lambda x, t: truth, SHARES, steps)
        torch.testing.assert_close(found, truth)


def test_painting_with_an_untrained_model_gives_the_warped_reference() -> None:
    cases = make_cases([draw_footage(800_000, 1, 64)], 1)
    coder = Autoencoder(AutoencoderConfig()).requires_grad_(False)
    model, small = untrained(), halve(cases.references)
    made = paint(model, coder, cases, SHARES, 1)
    with torch.inference_mode():
        people = [(cases.joints[:, n], cases.seen[:, n]) for n in (0, 1)]
        look = model.look(fold(small), limb_code(*people[0], (16, 16)))
        tones = Tones.of(small, look.figure, people[0])
        moved = move_parts(small, *people, figure=look.figure, tones=tones)
        turned = turned_heads(tones, *people, (64, 64))
        like = whole_size(moved, cases.references, look.figure, turned)
        expected = coder.decode(fold(as_it_is(moved)), like)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
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


def test_parts_leave_behind_what_is_not_the_figure() -> None:
    clip = draw_footage(3, 1, 64)
    picture = torch.from_numpy(clip.pictures[:1]).permute(0, 3, 1, 2).float() / 127.5 - 1
    figure = torch.from_numpy(clip.masks[:1, None]).float() / 255
    there, here = ((torch.from_numpy(clip.joints[n : n + 1]), EVERYTHING) for n in (0, 1))
    moved = move_parts(picture, there, here, figure=figure)
    alone = move_parts(picture * figure, there, here, figure=figure)
    # The background matters to what is behind, and where a pixel is only half the figure.
    apart = moved.whole - alone.whole - moved.shares[:, :1] * (moved.behind - alone.behind)
    assert float(apart.abs().mean()) < 0.02
    far = torch.nn.functional.max_pool2d(figure, 9, 1, 4) == 0
    torch.testing.assert_close(moved.behind * far, picture * far)


def test_a_mix_takes_what_it_leans_to_from_where_it_is_told() -> None:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    picture = torch.stack([rows, columns, columns])[None] / 32
    person = (torch.rand(1, 18, 2), EVERYTHING)
    moved = move_parts(picture, person, person)
    leanings = torch.zeros(1, LAYERS, 32, 32)
    leanings[:, LAYERS - 1] = 100  # the head, and nothing else
    right = torch.zeros(1, 2 * PARTS, 16, 16)
    right[:, 2 * PARTS - 2] = 2 / 16 / OFFSET  # two pixels of 32, in halves of a picture
    taken, figure = moved.mix(right, leanings)
    straight, _ = moved.mix(torch.zeros_like(right), leanings)
    torch.testing.assert_close(figure, torch.ones(1, 1, 32, 32))
    inside = (straight[:, 1] > 0.1) & (straight[:, 1] < 0.8)
    assert int(inside.sum()) > 50
    shift = (taken - straight)[:, 1][inside]
    torch.testing.assert_close(shift, torch.full_like(shift, 2 / 32), rtol=0, atol=1e-4)


def test_a_decided_mixture_is_nearer_to_its_likeliest_layer() -> None:
    person = (torch.rand(1, 18, 2), EVERYTHING)
    moved = move_parts(torch.rand(1, 3, 16, 16), person, (person[0] + 0.1, EVERYTHING))
    still = torch.zeros(1, 2 * PARTS, 8, 8)
    leanings = torch.randn(1, LAYERS, 16, 16)
    (_, learnt), (_, decided) = (moved.mix(still, leanings, by) for by in (1.0, 8.0))
    likely = moved.shares.clamp_min(0.02).log() + leanings
    figure = (likely.argmax(dim=1, keepdim=True) > 0).float()
    assert (decided - figure).abs().mean() < 0.5 * (learnt - figure).abs().mean()


def test_details_are_those_of_what_looks_alike() -> None:
    coder = Autoencoder(AutoencoderConfig()).requires_grad_(False)
    truth = torch.rand(1, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(coder.decode(coder.encode(truth), truth), truth)
    # What looks otherwise has nothing to say.
    other = -truth.sign()
    torch.testing.assert_close(
        coder.decode(coder.encode(truth.sign()), other),
        coder.decode(coder.encode(truth.sign())),
        rtol=0,
        atol=0.05,
    )


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
    here = limb_code(joints, seen, (16, 16))[:, :LIMBS]
    there = limb_code(joints + 4 / 16, seen, (16, 16))[:, :LIMBS]
    torch.testing.assert_close(there[..., 4:, 4:], here[..., :-4, :-4], rtol=0, atol=1e-4)


def test_nobody_seen_gives_no_limbs() -> None:
    code = limb_code(torch.rand(1, 18, 2), torch.zeros(1, 18, dtype=torch.bool), (8, 8))
    assert not code[:, :LIMBS].any()


def test_a_code_tells_a_face_from_the_back_of_a_head() -> None:
    clip = draw_footage(3, 0, 64)
    joints, seen = torch.from_numpy(clip.joints), torch.from_numpy(clip.seen)
    front = limb_code(joints, seen, (32, 32))[:, LIMBS - 1]
    back = limb_code(joints[:, MIRRORED], seen[:, MIRRORED], (32, 32))[:, LIMBS - 1]
    assert front.abs().max() > 0.1
    torch.testing.assert_close(back, -front)


def test_heads_are_where_the_face_is() -> None:
    clip = draw_footage(3, 0, 64)
    joints, seen = torch.from_numpy(clip.joints), torch.from_numpy(clip.seen)
    covered = heads(joints, seen, (32, 32))[0, 0]
    x, y = (32 * joints[0, 0]).long()  # the nose
    assert covered[y, x]
    assert 0 < covered.float().mean() < 0.1
    assert not heads(joints, torch.zeros_like(seen), (32, 32)).any()


def pair(clips: int, targets: int) -> Batch:
    """Of noise, with everybody seen."""
    chance = torch.Generator().manual_seed(3)
    return Batch(
        torch.rand(clips, 3, 32, 32, generator=chance) * 2 - 1,
        torch.rand(clips, targets, 3, 32, 32, generator=chance) * 2 - 1,
        torch.rand(clips, 1 + targets, 18, 2, generator=chance),
        torch.ones(clips, 1 + targets, 18, dtype=torch.bool),
        torch.ones(clips, targets, 1, 8, 8),
        torch.zeros(clips, 1, 32, 32),
    )


def loss_of(batch: Batch, recipe: Recipe) -> torch.Tensor:
    chance = torch.Generator().manual_seed(5)
    return denoising_loss(untrained(), batch, recipe, SHARES, chance)


def test_faces_that_the_reference_does_not_show_are_told_and_drawn_more_often(
    tmp_path: Path,
) -> None:
    clip = draw_footage(3, 2, 64)  # looks at the viewer
    away = replace(clip, joints=clip.joints[:, MIRRORED])
    turning = replace(clip, joints=np.concatenate([away.joints[:1], clip.joints[1:]]))
    prepare([clip, away, turning], shard_path(tmp_path, 0))
    shards = ShardFolder(tmp_path, Growth(first=1, every=5, most=1)).at(0)
    assert shards is not None
    assert shards.faces_to_invent.tolist() == [2]
    batch = shards.batch([0, 1, 2], [[0, 1]] * 3)
    told = showing_new_faces(batch.joints, batch.seen)
    assert told.tolist() == [[False, False], [False, False], [True, True]]


def test_lost_joints_are_as_joints_that_were_never_seen() -> None:
    batch, recipe = pair(2, 2), Recipe(head=0, new_face=0)
    unseen = batch.seen.clone()
    unseen[:, 1:] = False
    lost = loss_of(batch, replace(recipe, lost=1.0))
    torch.testing.assert_close(lost, loss_of(replace(batch, seen=unseen), recipe))
    assert lost != loss_of(batch, recipe)


def test_every_target_counts_by_the_logarithm_of_its_error() -> None:
    def without_silhouettes(batch: Batch) -> torch.Tensor:
        return loss_of(batch, Recipe(silhouette=0, head=0, new_face=0))

    once, twice = pair(2, 2), pair(2, 2)
    twice = replace(twice, weights=2 * twice.weights)  # of the squared error
    # Less than log 2 by what is negligible beside the errors of noise, about 1/3.
    torch.testing.assert_close(
        without_silhouettes(twice) - without_silhouettes(once),
        torch.tensor(2.0).log(),
        rtol=0,
        atol=0.01,
    )


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
    figure = halve(torch.from_numpy(clips[2].masks[:1]).float()) / 255
    torch.testing.assert_close(batch.figure[0], figure, rtol=0, atol=0.51 / 255)


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
    torch.testing.assert_close(small.figure, halve(batch.figure))
    torch.testing.assert_close(small.joints, batch.joints)


def test_a_clue_holds_its_parts() -> None:
    person = (torch.rand(1, 18, 2), EVERYTHING)
    moved = move_parts(torch.randn(1, 3, 16, 16), person, person)
    still = torch.randn(1, 12, 8, 8)
    clue = make_clue(moved, still, torch.ones(1, CODE, 8, 8))
    assert clue.shape == (1, CLUE, 8, 8)
    head = clue[:, 12 * (PARTS - 1) : 12 * PARTS]
    torch.testing.assert_close(head, fold(moved.parts[:, -1]))
    torch.testing.assert_close(clue[:, 12 * PARTS :][:, :12], fold(moved.whole))
    torch.testing.assert_close(clue[:, 12 * PARTS + 12 :][:, :12], still)
    limbs = clue[:, 12 * PARTS + 24 :][:, :CODE]
    torch.testing.assert_close(limbs, torch.ones(1, CODE, 8, 8))
    shares = torch.nn.functional.pixel_shuffle(clue[:, 12 * PARTS + 24 + CODE :], 2)
    torch.testing.assert_close(shares, moved.shares)
