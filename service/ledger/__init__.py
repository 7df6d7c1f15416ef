"""What we remember: the only place that knows tables. Functions take an open transaction and never commit."""
