"""`python -m animcli` is `anim`."""

from animcli.cli.main import run

if __name__ == "__main__":
    run()
