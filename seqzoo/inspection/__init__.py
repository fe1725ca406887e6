"""Analysis of a trained network: dynamics, attention, states, graphs, measured or drawn. It changes no weights."""
