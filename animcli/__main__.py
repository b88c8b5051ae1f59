"""`anim`, which is also `python -m animcli`.

From here on Ctrl-C ends the process as it ends `cat`: there is nothing yet to clean up, and
a KeyboardInterrupt amid imports and parsing would end in a traceback, or in nothing at all.
`animcli.cli.main` listens as soon as there is work.
"""

import signal


def run() -> None:
    """The console command `anim`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from animcli.cli.main import run_console as run_line

    run_line()


if __name__ == "__main__":
    run()
