"""A page to separate songs and listen to the stems: ``python app.py``. Installed: ``demix-app``."""

from demixer.commands.app import command

if __name__ == "__main__":
    command()
