"""The audit trail: journal bytes, hash chain, and the proof that what is stored follows from what was known."""
