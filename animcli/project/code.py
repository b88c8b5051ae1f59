"""Which code made an artifact: as good as a version, and nobody has to raise it.

A stage's revision is raised by hand, and was forgotten twice while detectors were being
improved: one key then stood for two motions, and a render that went on after a stop, or was
made again, followed another than before.
"""

import hashlib
from functools import cache
from importlib.resources import files


@cache
def code_of(package: str) -> str:
    """16 hex digits of the SHA-256 of a package's source files, without subpackages.

    Told once in a process: code that is already running doesn't change with its files.
    """
    digest = hashlib.sha256()
    for file in sorted(files(package).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            data = file.read_bytes()
            digest.update(f"{file.name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]
