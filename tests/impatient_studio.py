"""The page, whose requests have a moment to come in, to see what happens then.

python tests/impatient_studio.py studio --no-browser -p FOLDER
"""

import sys
from functools import partial

from animcli.cli.main import main
from animcli.web import server

HEAD_S, BODY_S = 0.5, 1.0

if __name__ == "__main__":
    short = partial(server.ServerSettings, head_s=HEAD_S, body_s=BODY_S)
    server.ServerSettings = short  # type: ignore[assignment,misc]
    sys.exit(main(sys.argv[1:]))
