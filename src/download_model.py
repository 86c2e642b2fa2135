"""Fetch a public model by name: ``python download_model.py bsrnn-opt``. Installed: ``demix-download``."""

from demixer.commands.download import command

if __name__ == "__main__":
    command()
