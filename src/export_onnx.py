"""Export a model for ONNX runtimes: ``python export_onnx.py RUN_DIR OUT.onnx``. Installed: ``demix-export``."""

from demixer.commands.export import command

if __name__ == "__main__":
    command()
