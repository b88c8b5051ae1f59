"""Addresses of results and of how they were made."""

from dataclasses import dataclass

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from animcli.errors import InputError
from animcli.web.answers import Address, table
from animcli.web.serving import safe_name
from animcli.web.studio import Studio


@dataclass(frozen=True)
class ResultRoutes:
    """Results with their manifests."""

    studio: Studio

    def addresses(self) -> list[Address]:
        """Verb, path and handler of each."""
        return [
            ("GET", "/api/history", self.history),
            ("POST", "/api/history", self.settings),
            ("GET", "/api/history/{digest}", self.manifest),
            ("DELETE", "/api/history/{digest}", self.delete),
        ]  # fmt: skip

    async def history(self, request: Request) -> Response:
        """Every result, as the page reads it."""
        return JSONResponse(await anyio.to_thread.run_sync(self.studio.library.history))

    async def manifest(self, request: Request) -> Response:
        """The manifest of a result, to be saved."""
        digest = request.path_params["digest"]
        for made in self.studio.library.made():
            if made.digest == digest:
                name = safe_name(f"{made.path.name}.json")
                saved = {"content-disposition": f'attachment; filename="{name}"'}
                return JSONResponse(made.manifest, headers=saved)
        raise InputError("nothing here says how this was made")

    async def settings(self, request: Request) -> Response:
        """The settings of a result: of a manifest, or of one that is here by its digest."""
        said = await table(request)
        manifest = said.get("manifest")
        if manifest is None:
            wanted = said.get("digest")
            found = [each for each in self.studio.library.made() if each.digest == wanted]
            if not found:
                raise InputError(
                    "nothing here says how this was made",
                    "drop the .json that lies beside it",
                )
            manifest = found[0].manifest
        try:
            return JSONResponse(self.studio.library.settings(manifest))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError("this is no manifest of animcli") from error

    async def delete(self, request: Request) -> Response:
        """Remove a result's file; its cache entries are cleared by words."""
        gone = await anyio.to_thread.run_sync(
            self.studio.library.delete, request.path_params["digest"]
        )
        self.studio.log.publish("history", "")
        return JSONResponse({"gone": gone})
