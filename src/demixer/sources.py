"""The four stems of MUSDB18, in the order that everything keeps."""

SOURCES = ("vocals", "drums", "bass", "other")
