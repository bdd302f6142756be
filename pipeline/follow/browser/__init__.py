"""The live view as a page: a server that tells each episode of the file once to all who watch, and the page itself."""
