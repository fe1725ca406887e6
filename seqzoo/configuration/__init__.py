"""From overrides to a checked configuration, components and a model; `runs` trains and loads them."""
