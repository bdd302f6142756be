"""How another model comes to answer: where it is from, the proof that it is no worse, and the pointer that all see."""
