"""Separates while it plays: blocks of PCM in, what is to be heard out, from pipes or a sound card."""
