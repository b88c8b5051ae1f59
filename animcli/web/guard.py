"""Access checks that every request passes before anything else.

The page is for one person on this machine. Other machines, other users, other web pages in
the same browser and other servers on other ports are kept out, each by a check of its own.
A cookie opens what is only read; cookies don't know ports, and another server of this
machine gets them, so whatever changes something wants the token as a header as well.
"""

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import KW_ONLY, dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

BODY_S: Final = 30.0
"""Seconds that a body may pause for."""
TOKEN: Final = b"x-anim-token"
READING: Final = ("GET", "HEAD")
WRITING: Final = ("POST", "PUT", "DELETE")
HARMLESS: Final = ("/api/session", "/api/plan", "/api/display")
"""Addresses that a page for reading only answers, though they aren't asked by GET."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True)
class Keys:
    """Secrets that open the page.

    token: 128 bits, in the fragment of the URL, which browsers send nowhere.
    session: what the cookie holds; another secret, since other servers may see it.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def is_token(self, said: bytes) -> bool:
        """Compare with the token, in constant time."""
        return hmac.compare_digest(said, self.token.encode())

    def is_session(self, cookies: bytes, port: int) -> bool:
        """Look for the session of this port in a Cookie header."""
        try:
            jar = SimpleCookie(cookies.decode("latin-1"))
        except CookieError:
            return False
        found = jar.get(cookie_name(port))
        said = "" if found is None else found.value
        return hmac.compare_digest(said.encode(), self.session.encode())


def cookie_name(port: int) -> str:
    """The name of the cookie; another one for each port."""
    return f"anim-{port}"


@dataclass(frozen=True)
class Refusal:
    """An answer without a body. status: of HTTP. more: another header."""

    status: int
    more: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Guard:
    """Lets through what the page itself asks for.

    hosts: values of the Host header that are ours, whole, with the port. body_s: seconds
    that a body may pause for.
    """

    app: Application
    keys: Keys
    port: int
    hosts: frozenset[str]
    read_only: bool = False
    _: KW_ONLY
    body_s: float = BODY_S

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer or refuse one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refusal = self.refusal(scope["method"], scope["path"], scope["headers"])
        if refusal is not None:
            headers = [*HEADERS, (b"content-length", b"0"), *refusal.more]
            await send(
                {
                    "type": "http.response.start",
                    "status": refusal.status,
                    "headers": headers,
                }
            )
            await send({"type": "http.response.body", "body": b""})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        async def patient() -> Message:
            return await asyncio.wait_for(receive(), self.body_s)

        writes = scope["method"] not in READING
        await self.app(scope, patient if writes else receive, guarded)

    def refusal(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]]
    ) -> Refusal | None:
        """Refusal of a request, or None where it is answered."""
        hosts = values(headers, b"host")
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self.hosts:
            return Refusal(403)
        if method not in READING + WRITING:
            return Refusal(405, ((b"allow", ", ".join(READING + WRITING).encode()),))
        private = not (path == "/" or path.startswith("/static/"))
        site = values(headers, b"sec-fetch-site")
        if private and any(each not in (b"same-origin", b"none") for each in site):
            return Refusal(403)
        if method in WRITING:
            return self._of_writing(method, path, headers, hosts[0])
        cookies = b"; ".join(values(headers, b"cookie"))
        if private and not self.keys.is_session(cookies, self.port):
            return Refusal(401)
        return None

    def _of_writing(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]], host: bytes
    ) -> Refusal | None:
        if values(headers, b"origin") != [b"http://" + host]:
            return Refusal(403)
        kind = b"".join(values(headers, b"content-type")).partition(b";")[0].strip()
        if method == "POST" and kind != b"application/json":
            return Refusal(415)
        said = values(headers, TOKEN)
        if len(said) != 1 or not self.keys.is_token(said[0]):
            return Refusal(401)
        if self.read_only and path not in HARMLESS:
            return Refusal(403)
        return None


def values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """All values of a header."""
    return [value for each, value in headers if each.lower() == name]


def own_hosts(host: str, port: int) -> frozenset[str]:
    """Values of the Host header under which a server on `host` is asked for."""
    names = {"127.0.0.1", "localhost", "[::1]"}
    if host not in ("0.0.0.0", "::"):
        names.add(f"[{host}]" if ":" in host else host)
    return frozenset(f"{name.lower()}:{port}" for name in names)
