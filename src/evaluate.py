"""Measure a run or a saved model: ``python evaluate.py -d RUN_DIR``. Installed: ``demix-evaluate``."""

from demixer.commands.evaluate import command

if __name__ == "__main__":
    command()
