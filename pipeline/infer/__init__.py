"""Engines: where the shards of a large inference are predicted. Which one it is changes no byte of what comes out.

- `shards` cuts the records into shards, predicts one, and merges all in input order, however many workers die
- `local` is a pool of processes on this machine
- `ray` is a Ray cluster, an optional extra (``pip install 'baton-pipeline[ray]'``)
"""
