"""The small server that commands which stay up share: who may connect, a page of the package, a graceful end."""
