"""Addresses of the page itself and of what this machine has; all addresses together."""

from dataclasses import dataclass

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from animcli.web.answers import Address, with_errors
from animcli.web.guard import cookie_name
from animcli.web.routes.files import FileRoutes
from animcli.web.routes.jobs import JobRoutes
from animcli.web.routes.motion import MotionRoutes
from animcli.web.routes.results import ResultRoutes
from animcli.web.studio import Studio


@dataclass(frozen=True)
class PageRoutes:
    """The packaged files, the session, and what this machine has."""

    studio: Studio

    def addresses(self) -> list[Address]:
        """Verb, path and handler of each."""
        return [
            ("GET", "/", self.index),
            ("GET", "/static/{name}", self.static),
            ("POST", "/api/session", self.session),
            ("GET", "/api/presets", self.presets),
            ("GET", "/api/weights", self.weights),
            ("GET", "/api/device", self.device),
            ("GET", "/api/doctor", self.doctor),
        ]  # fmt: skip

    async def index(self, request: Request) -> Response:
        """The page."""
        return self.studio.pages.index()

    async def static(self, request: Request) -> Response:
        """A packaged file, by a name with the digest of its content."""
        return self.studio.pages.file(request.path_params["name"])

    async def session(self, request: Request) -> Response:
        """The cookie, for whoever knows the token; the guard has seen it."""
        answer = JSONResponse(
            {"project": self.studio.project.root.name, "read_only": self.studio.read_only}
        )
        answer.set_cookie(
            cookie_name(self.studio.port), self.studio.keys.session,
            httponly=True, samesite="strict", path="/",
        )  # fmt: skip
        return answer

    async def presets(self, request: Request) -> Response:
        """Presets and options."""
        return JSONResponse(await anyio.to_thread.run_sync(self.studio.face.presets))

    async def weights(self, request: Request) -> Response:
        """Model files."""
        return JSONResponse(await anyio.to_thread.run_sync(self.studio.face.weights))

    async def device(self, request: Request) -> Response:
        """Devices here, as `anim doctor` finds them."""
        said = await self.studio.ask(do="device")
        return JSONResponse({"device": said["device"]})

    async def doctor(self, request: Request) -> Response:
        """Answer of `anim doctor` about this machine."""
        said = await self.studio.ask(do="act", words=["doctor"])
        return JSONResponse({"results": said["results"]})


def application(studio: Studio) -> Starlette:
    """All addresses of a project's page."""
    addresses = [
        *PageRoutes(studio).addresses(), *FileRoutes(studio).addresses(),
        *MotionRoutes(studio).addresses(), *JobRoutes(studio).addresses(),
        *ResultRoutes(studio).addresses(),
    ]  # fmt: skip
    return Starlette(
        routes=[
            Route(path, with_errors(run), methods=[verb]) for verb, path, run in addresses
        ]
    )
