"""Who may come in, where not everybody may."""

from pathlib import Path

from demixer.errors import UserError


def read_passwords(file: Path) -> dict[str, str]:
    """Passwords by user, from lines USER:PASSWORD. On the command line everybody on the machine could read them.

    Raises:
        UserError: the file cannot be read, or a line is something else.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeError) as error:
        raise UserError(f"cannot read `--auth` (={file}): {getattr(error, 'strerror', None) or error}") from error
    pairs = [line.partition(":") for line in lines if line and not line.startswith("#")]
    if not pairs or not all(user and password for user, _, password in pairs):
        raise UserError(f"`--auth` (={file}) must hold lines USER:PASSWORD")
    return {user: password for user, _, password in pairs}
