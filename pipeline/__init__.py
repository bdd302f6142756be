"""The library behind the stages. Usable on its own: `from pipeline import load_model`."""
