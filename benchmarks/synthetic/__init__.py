"""Songs of MIDI and sound fonts, of which every stem is known: what benchmarks/synthetic_songs.py is made of."""
