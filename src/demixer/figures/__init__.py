"""Pictures of sound and of the network; every function returns a matplotlib Figure, which the caller saves or shows."""
