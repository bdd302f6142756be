"""The same by umap-learn, seeded, in an environment of its own: the points of `map_ours`."""

import sys

import numpy as np
import umap

points = np.load(sys.argv[1])[:, 0].astype(np.float32)
np.save(sys.argv[2], umap.UMAP(random_state=0).fit_transform(points))
