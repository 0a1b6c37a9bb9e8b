"""A service, or the whole company, stops: the order, its gates, what becomes of everything, and the end of collection."""
