"""What is on disk, and nothing else: rows, manifests, recipes, the flow. Imports only msgspec."""
