"""Pictures of localization: maps, and how far off and how sure a model is."""
