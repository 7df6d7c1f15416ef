"""The demo: a made-up population, decided by a real service under two policies, and counted honestly."""
