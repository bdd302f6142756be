"""A map of what a generator thinks, in the browser: bundles of activations, and what is generated from them."""
