"""`exportgate serve`: decide events until stopped."""


def serve() -> None:
    """TODO."""
