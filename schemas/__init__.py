"""The wire: what other teams rely on. Imports pydantic and nothing of ours."""
