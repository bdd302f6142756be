"""The first map of activations [N, 1, D], from nothing: ``python -m benchmarks.peers.map_ours POINTS.npy MAP.npy``."""

import sys

import numpy as np

from pipeline.tasks.diffusion.model.layout import lay_out

points = np.load(sys.argv[1])
places = np.empty((len(points), 1, 2), np.float32)
lay_out(places, points, (0.6,), None)
np.save(sys.argv[2], places[:, 0])
