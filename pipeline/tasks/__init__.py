"""One folder a task, and in it one file or folder for each verb of the pipeline (see `pipeline.contract.parts`)."""
