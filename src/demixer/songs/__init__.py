"""Song files → stem files: what ``inference.py`` does around the Separator."""
