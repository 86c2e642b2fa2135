"""Separate songs into stems: ``python inference.py -i SONG_OR_FOLDER -o OUT_DIR``. Installed: ``demix``."""

from demixer.commands.demix import command

if __name__ == "__main__":
    command()
