"""The live view: an index of a growing file of episodes, a playback over it, and the screen that shows it.

Importing this package loads no terminal library; `app` does.
"""
