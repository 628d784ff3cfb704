"""Big Transfer (BiT) without a deep-learning framework."""
