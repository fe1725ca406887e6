"""The one training loop and what it needs; what a run writes is in `record`, starting a run is in `runs`."""
