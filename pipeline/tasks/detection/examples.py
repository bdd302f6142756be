"""The fixed scenes that models are evaluated on, as rows with images beside them; and the records that others wrote.

Examples depend on the sections ``scenes`` and ``examples`` of a recipe alone, and a longer set begins with the shorter
one: scene i is scene i of its split and seed, whatever else is made.
"""

from collections.abc import Iterator

from PIL import Image

from pipeline.contract.jobs import WithFiles
from pipeline.contract.parts import ExamplesPart
from pipeline.tasks.detection.images import png_of
from pipeline.tasks.detection.infer.read import read_examples
from pipeline.tasks.detection.recipe import DetectionRecipe
from pipeline.tasks.detection.rows import DetectionExample
from pipeline.tasks.detection.scenes.scene import make_scene


def make_examples(recipe: DetectionRecipe) -> Iterator[WithFiles]:
    """Yield scenes 0 to ``examples.num_images`` of ``examples.split``, each with its image, a PNG file.

    An id names split, seed and index, such as ``heldout-0-000042``; ``image_id`` is the index. The bytes of the PNG
    depend on the version of Pillow, its pixels do not.
    """
    wanted = recipe.examples
    for index in range(wanted.num_images):
        scene = make_scene(recipe.scenes, wanted.split, wanted.seed, index)
        id = f"{wanted.split}-{wanted.seed}-{index:06d}"
        name = f"images/{id}.png"
        height, width, _ = scene.image.shape
        example = DetectionExample(
            id=id,
            images=[name],
            width=width,
            height=height,
            objects=scene.objects,
            image_id=index,
            metadata={"split": wanted.split, "photograph": scene.photograph},
        )
        yield WithFiles(example, {name: png_of(Image.fromarray(scene.image), optimize=True)})


PART = ExamplesPart(make=make_examples, recipe_keys=("scenes",), files=("images/*.png",), read=read_examples)
