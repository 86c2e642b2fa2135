"""Which state of this program computed something."""

import subprocess

from demixer import __version__
from demixer.paths import IN_CLONE, PROJECT_DIR


def git_commit() -> str:
    """The commit of this project's checkout, marked when files differ from it; without one, the program's version.

    Git would look for a checkout in the folders above, too, and find somebody else's.
    """
    if not IN_CLONE or not (PROJECT_DIR / ".git").exists():
        return f"unknown: demixer {__version__}, not a git checkout"
    command = ["git", "-C", str(PROJECT_DIR), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"unknown: demixer {__version__}, git cannot tell"
