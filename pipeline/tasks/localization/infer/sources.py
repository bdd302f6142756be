"""What infer answers from: a model file, and the recordings that the examples name. No torch."""

from pipeline.contract.jobs import Source, SourceRequest
from pipeline.contract.load import read_examples
from pipeline.contract.parts import SourcesPart
from pipeline.errors import UserError
from pipeline.tasks.localization.signal.recording import hash_recordings


def find_source(request: SourceRequest) -> Source:
    """A model file, and where the recordings are: ``--image-root``, else the folder of the examples.

    Their hash belongs to what the answers depend on. Raises UserError for flags that are of no use.
    """
    if request.replay is not None:
        raise UserError("localization has no use for --replay", where=str(request.replay), remedy="leave it out")
    model = request.find_model()
    examples = read_examples(request.task, request.examples) if request.examples.is_file() else ()
    names = [one.recording for one in examples if one.recording is not None]
    if not names:
        if request.image_root is not None:
            what = "no record names a recording: there is no use for --image-root"
            raise UserError(what, where=str(request.image_root), remedy="leave it out")
        return Source(model_file=model)
    root = request.image_root or request.examples.parent
    return Source(model_file=model, config={"recordings_sha256": hash_recordings(names, root)}, image_root=root)


PART = SourcesPart(find_source=find_source)
