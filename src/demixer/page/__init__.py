"""The page of ``app.py``: visitors' sessions, their jobs, and what they see."""
