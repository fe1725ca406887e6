"""What a person compares: trained models, and cells before any training."""
