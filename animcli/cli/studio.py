"""`anim studio`: the page, and what the server needs to know of the command line."""

import webbrowser
from dataclasses import dataclass
from typing import Annotated

import typer

from animcli.cli.console import Console
from animcli.cli.plan import Command, Context, Session
from animcli.cli.signals import Stop
from animcli.errors import DeviceError, UsageError

OPEN_TO_ALL = (
    "everybody who reaches this machine and has the URL can use the page: its files, its "
    "disk, its GPU; nothing is encrypted on the way"
)


def studio(
    port: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=65535, help="To listen on; 0 is any free one."
        ),
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the URL.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="To listen on; other machines can't see it."),
    ] = "127.0.0.1",
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Look at results, and start nothing.")
    ] = False,
    yes_really: Annotated[
        bool, typer.Option("--yes-really", help="With --host: let other machines in.")
    ] = False,
) -> Command:
    """Open a page in the browser: bring in, correct, render, compare.

    Prints its URL, which nobody else can guess, and serves until Ctrl-C. Everything the
    page does is a command that it shows, and ends up in the same cache. Closing the page
    stops nothing.
    """
    return Session(StudioCommand(port, not no_browser, host, read_only, yes_really).run)


@dataclass(frozen=True)
class StudioCommand:
    """`anim studio`; the fields are its flags."""

    port: int
    browser: bool
    host: str
    read_only: bool
    yes_really: bool

    def run(self, context: Context, console: Console, stop: Stop) -> int:
        """Serve; the exit code."""
        try:
            from animcli.web.server import ServerSettings, is_loopback, serve
        except ModuleNotFoundError as error:
            raise DeviceError(
                f"the page needs the package {error.name}", "pip install 'animcli[studio]'"
            ) from error
        from animcli.cli.studio_words import Words

        if not is_loopback(self.host):
            if not self.yes_really:
                raise UsageError(
                    f"--host {self.host}: {OPEN_TO_ALL}",
                    "--yes-really says that you want it",
                )
            console.warn(OPEN_TO_ALL)

        def announce(url: str) -> None:
            console.result([url], [{"url": url}])
            console.flush()
            if self.browser:
                webbrowser.open(url)

        serve(
            ServerSettings(
                context.project, Words(context.project, context.weights), self.host,
                self.port, self.read_only, announce, tell=console.say,
            )
        )  # fmt: skip
        return 0
