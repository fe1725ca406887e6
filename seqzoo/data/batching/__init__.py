"""Which rows make a batch, and in which order."""
