"""The version, apart from the public names, so that whatever reports it imports nothing else."""

__version__ = "0.1.0"
