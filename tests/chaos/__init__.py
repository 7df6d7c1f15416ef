"""`make chaos`: faults at random, for as long as one wishes, and a verdict by the independent checker."""
