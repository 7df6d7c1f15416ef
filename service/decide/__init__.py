"""The core: facts meet a policy in a pure function. Standard library only, no clock, no I/O."""
