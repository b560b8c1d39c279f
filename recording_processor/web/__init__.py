"""The processor's HTTP face: one module per group of routes, each a thin shell over the core."""
