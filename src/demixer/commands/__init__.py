"""What is typed: each command parses its arguments and calls one function of another room.

The scripts in ``src/`` are the same commands. What computes is imported only after the arguments are understood.
"""
