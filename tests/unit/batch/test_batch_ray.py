"""A Ray cluster elsewhere is joined only if it asks who comes."""

import pytest

from animcli.batch.ray_engine import bridge_environment, check_address, is_own_address
from animcli.errors import UsageError


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1:6379", True), ("localhost:6379", True), ("[::1]:6379", True),
     ("ray://127.0.0.1:10001", True), ("10.0.0.7:6379", False), ("0.0.0.0:1", False),
     ("head.example:6379", False), ("127.0.0.1.example:1", False), ("auto", False)],
)  # fmt: skip
def test_an_address_is_the_loopback_or_not(address: str, loopback: bool) -> None:
    assert is_own_address(address) is loopback


def test_a_cluster_elsewhere_without_a_token_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UsageError, match="no token"):
        check_address("10.0.0.7:6379", insecure=False)
    with pytest.raises(UsageError, match="no token"):
        check_address("auto", insecure=False)
    check_address("10.0.0.7:6379", insecure=True)
    check_address("127.0.0.1:6379", insecure=False)
    check_address(None, insecure=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    check_address("10.0.0.7:6379", insecure=False)


def test_a_cluster_of_our_own_has_a_token_and_reports_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    first, second = bridge_environment(None), bridge_environment(None)
    assert first["RAY_USAGE_STATS_ENABLED"] == "0"
    assert first["RAY_worker_niceness"] == "0"
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]
    assert "RAY_ADDRESS" not in first
    assert "RAY_AUTH_TOKEN" not in bridge_environment("127.0.0.1:6379")
