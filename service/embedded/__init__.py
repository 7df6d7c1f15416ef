"""The local broker and PostgreSQL that `make demo` and the tests start."""
