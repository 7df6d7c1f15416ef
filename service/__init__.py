"""exportgate: whether a customer may be licensed under the export policy in force, event by event."""

__version__ = "0.1.0"
