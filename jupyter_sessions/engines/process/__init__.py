"""The engine of the default location: each session is a process of its own on this machine."""
