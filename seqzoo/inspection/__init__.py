"""What a network does, measured and drawn: dynamics, attention, states, graphs; it changes no weight."""
