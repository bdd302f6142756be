"""Routes beside those that predict."""
