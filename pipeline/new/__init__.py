"""A project of one's own: what `baton new` writes, and the templates it is made from."""
