"""Models behind HTTP: what infer does, a request at a time, by a server that stays up."""
