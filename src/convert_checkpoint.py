"""Rewrite a checkpoint as this project's own: ``python convert_checkpoint.py IN OUT``. Installed: ``demix-convert``."""

from demixer.commands.convert import command

if __name__ == "__main__":
    command()
