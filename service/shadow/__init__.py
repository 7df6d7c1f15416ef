"""Shadow: a candidate evaluated beside the live policy on real traffic, off its way, and never published."""
