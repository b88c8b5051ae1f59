"""Files over HTTP: whole, or the ranges that players ask for."""

from collections.abc import Iterator

import pytest
from web_server import Served, serving

from animcli.web.serving import read_range, safe_name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("project")) as served:
        yield served


@pytest.mark.parametrize(
    ("said", "span"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=2-", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=5-99", range(5, 10)),
        ("bytes=-99", range(10)),
        ("bytes=10-", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_a_range_is_read_as_the_standard_says(said: str, span: range | None) -> None:
    assert read_range(said, 10) == span


def test_a_part_of_a_file_is_served(server: Served) -> None:
    digest = server.upload(b"0123456789", "a.pose")["digest"]
    status, headers, body = server.ask("GET", f"/media/{digest}", Range="bytes=3-5")
    assert (status, body) == (206, b"345")
    assert headers["content-range"] == "bytes 3-5/10"
    assert server.ask("GET", f"/media/{digest}", Range="bytes=10-")[0] == 416


@pytest.mark.parametrize(
    ("name", "safe"),
    [("a b.mp4", "a_b.mp4"), ("..", "file"), ('"; x', "___x"), ("ü/é", "___")],
)
def test_a_saved_name_holds_plain_characters_only(name: str, safe: str) -> None:
    assert safe_name(name) == safe
