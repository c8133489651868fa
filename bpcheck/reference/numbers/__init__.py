"""Numbers that carry their error: balls, and the variance model of low precision."""
