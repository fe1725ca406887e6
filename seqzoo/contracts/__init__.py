"""What all parts agree on: batches, specifications, parts, states, masks, notations and errors; no part itself."""
