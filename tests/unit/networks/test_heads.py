"""Heads that look where the reference's doesn't."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from animcli.networks.heads import Person, Tones, turned_heads

SIZE = (128, 128)
SKIN, HAIR = (0.6, 0.25, 0.0), (-0.6, -0.2, 0.4)
COLOURS = Tones(torch.tensor([SKIN]), torch.tensor([HAIR]))
NECK, RADIUS, CENTRE = (0.5, 0.42), 0.1, (0.5, 0.3)


def looking(angle: float, aside: float = 0.0, tall: float = 1.0) -> Person:
    """Somebody whose head is turned by `angle` degrees to the right of the picture; 180 is
    the back of it. aside, tall: where the person stands, and how large."""
    turn = math.radians(angle)
    joints = torch.full((18, 2), 0.5)
    joints[1] = torch.tensor(NECK)
    joints[8], joints[11] = torch.tensor([[0.46, 0.75], [0.54, 0.75]])

    def place(left: float, front: float, up: float) -> Tensor:
        across = left * math.cos(turn) + front * math.sin(turn)
        return torch.tensor([CENTRE[0] + across * RADIUS, CENTRE[1] - up * RADIUS])

    joints[0] = place(0, 1.1, -0.2)
    joints[14], joints[15] = place(-0.37, 0.93, 0.1), place(0.37, 0.93, 0.1)
    joints[16], joints[17] = place(-1, 0, 0), place(1, 0, 0)
    joints = (joints - 0.5) * tall + 0.5 + torch.tensor([aside, 0.0])
    return joints[None], torch.ones(1, 18, dtype=torch.bool)


def pixel(picture: Tensor, x: float, y: float) -> Tensor:
    """That at `x`, `y` in head radii right of and below the ears of `looking`."""
    row = int((CENTRE[1] + y * RADIUS) * SIZE[0])
    return picture[0, :, row, int((CENTRE[0] + x * RADIUS) * SIZE[1])]


def test_a_back_of_the_head_gets_a_face_where_the_joints_ask_for_one() -> None:
    made = turned_heads(COLOURS, looking(180), looking(0), SIZE)
    torch.testing.assert_close(pixel(made, 0, 0.1), torch.tensor([*SKIN, 1.0]))
    for side in (-1, 1):
        iris = pixel(made, 0.37 * side, -0.1)
        assert float(iris[:3].max()) < -0.5
    assert float(pixel(made, 0, -0.9)[3]) == 0  # hair stays the reference's


def test_a_face_gets_hair_where_its_back_is_asked_for() -> None:
    made = turned_heads(COLOURS, looking(0), looking(180), SIZE)
    for x in (-0.37, 0, 0.37):
        torch.testing.assert_close(pixel(made, x, -0.1), torch.tensor([*HAIR, 1.0]))
    torch.testing.assert_close(pixel(made, 0, 1.0), torch.tensor([*SKIN, 1.0]))  # the nape


def test_a_face_looks_to_the_side_that_the_nose_tells() -> None:
    right, left = (turned_heads(COLOURS, looking(180), looking(a), SIZE) for a in (50, -50))
    # The rows of the two are each other's mirror about the middle between the ears.
    torch.testing.assert_close(right, left.flip(-1), rtol=0, atol=1e-3)
    torch.testing.assert_close(pixel(right, -0.8, -0.1)[:3], torch.tensor(HAIR))
    assert float(pixel(right, 0.8, -0.1)[0]) > 0


@pytest.mark.parametrize("angle", [0, 30, -60])
def test_a_head_that_turns_a_little_stays_the_reference_s_own(angle: float) -> None:
    assert not turned_heads(COLOURS, looking(0), looking(angle), SIZE)[:, 3].any()


def test_what_covers_a_turning_head_comes_gradually() -> None:
    cover = [
        float(turned_heads(COLOURS, looking(0), looking(a), SIZE)[:, 3].max())
        for a in range(60, 81)
    ]
    assert (cover[0], cover[-1]) == (0, 1)
    assert max(b - a for a, b in pairwise(cover)) < 0.2


@pytest.mark.parametrize("joint", [1, 16, 17])
def test_a_head_of_which_nobody_knows_where_it_looks_is_left_alone(joint: int) -> None:
    joints, seen = looking(180)
    hidden = seen.clone()
    hidden[:, joint] = False
    for people in (((joints, hidden), looking(0)), (looking(0), (joints, hidden))):
        assert not turned_heads(COLOURS, *people, SIZE)[:, 3].any()


def test_whose_eyes_and_nose_are_not_seen_looks_away() -> None:
    joints, seen = looking(180)
    hidden = seen.clone()
    hidden[:, [0, 14, 15]] = False
    made = turned_heads(COLOURS, (joints, hidden), looking(0), SIZE)
    torch.testing.assert_close(made, turned_heads(COLOURS, looking(180), looking(0), SIZE))


def test_the_face_is_where_the_target_is_and_of_its_size() -> None:
    made = turned_heads(COLOURS, looking(180), looking(0, aside=0.25, tall=0.5), SIZE)
    rows, columns = made[0, 3].nonzero().T
    # Half a head of .1, a quarter of the picture to the right.
    assert 0.69 * SIZE[1] < columns.min() < columns.max() < 0.81 * SIZE[1]
    assert 0.34 * SIZE[0] < rows.min() < rows.max() < 0.48 * SIZE[0]


def picture_of(person: Person, hairline: float) -> tuple[Tensor, Tensor]:
    """A drawn head on a blue wall, and where it is: skin below the `hairline`, in radii
    above the ears, hair above it, and a bare right hand.
    """
    y, x = torch.meshgrid(*(torch.arange(size) / size for size in SIZE), indexing="ij")
    head = torch.hypot((x - CENTRE[0]), (y - CENTRE[1]) / 1.4) < RADIUS
    bare = head & (y > CENTRE[1] - hairline * RADIUS)
    wrist = person[0][0, 4]
    hand = torch.hypot(x - wrist[0], y - wrist[1]) < 0.06
    picture = torch.tensor([-0.5, -0.3, 0.8])[:, None, None].expand(3, *SIZE)
    for where, colour in ((head, HAIR), (bare, SKIN), (hand, SKIN)):
        picture = torch.where(where, torch.tensor(colour)[:, None, None], picture)
    return picture[None], (head | hand)[None, None].float()


@pytest.mark.parametrize(("angle", "hairline"), [(0, 0.4), (0, 1.1), (180, -2)])
def test_skin_and_hair_are_this_person_s(angle: float, hairline: float) -> None:
    joints, seen = looking(angle)
    joints[0, 3], joints[0, 4] = torch.tensor([[0.2, 0.5], [0.2, 0.7]])
    tones = Tones.of(*picture_of((joints, seen), hairline), (joints, seen))
    torch.testing.assert_close(tones.skin, torch.tensor([SKIN]))
    torch.testing.assert_close(tones.hair, torch.tensor([HAIR]))


def test_who_has_no_hair_is_bald_behind_too() -> None:
    person = looking(0)
    tones = Tones.of(*picture_of(person, 2), person)
    torch.testing.assert_close(tones.hair, torch.tensor([SKIN]))


def test_where_nobody_is_seen_colours_are_ordinary_ones() -> None:
    nobody = (torch.rand(2, 18, 2), torch.zeros(2, 18, dtype=torch.bool))
    tones = Tones.of(torch.zeros(2, 3, 64, 64), torch.zeros(2, 1, 64, 64), nobody)
    assert (tones.skin[:, 0] > tones.skin[:, 2]).all()
    assert (tones.hair < tones.skin).all()
