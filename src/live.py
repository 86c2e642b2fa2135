"""Separate while it plays: ``ffmpeg … - | python live.py -t vocals | ffplay … -``. Installed: ``demix-live``."""

from demixer.commands.live import command

if __name__ == "__main__":
    command()
