"""How gradients are had, one learning rule per file; and readouts in closed form. What is done with gradients is in
training/.
"""
