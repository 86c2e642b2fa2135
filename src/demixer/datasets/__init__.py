"""Which songs a dataset has, and the files of their stems; nothing here knows what they are used for."""
