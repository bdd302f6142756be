"""The commands: one file a stage, each thin; they never import one another."""
