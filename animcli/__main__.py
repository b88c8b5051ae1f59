"""`python -m animcli` is `anim`."""

from animcli.cli.main import run_console

if __name__ == "__main__":
    run_console()
