"""From ids to what a task reads: encoders, backbones, heads and the model; what is asked of it is in `tasks`."""
