"""``baton examples``: make the fixed, seeded input records of a recipe."""

from collections.abc import Iterable, Iterator

from pipeline.errors import UserError
from pipeline.jsonl import write_all
from pipeline.runs import StageRequest, stage_run
from pipeline.tasks import load_part
from schemas.rows import Example
from stages.common import Options, Result, command, finished, main, stage_config

FILE = "examples.jsonl"


@command("examples", shared=("task", "recipe", "settings", "seed", "out", "runs_dir", "force", "json"))
def app(options: Options) -> Result:
    """Make the fixed, seeded input records of a recipe.

    They depend on the recipe alone: the same recipe gives the same bytes.

    Example: baton examples gridworld --recipe demo
    """
    recipe = options.load_recipe().recipe
    part = load_part(options.task, "data")
    folder = options.folder(recipe.name)
    request = StageRequest(
        stage="examples",
        task=options.task,
        folder=folder,
        config=stage_config(recipe, "examples", part.RECIPE_KEYS),
        writes=(FILE,),
        force=options.force,
    )
    with stage_run(request) as run:
        if not run.up_to_date:
            run.counts["num_examples"] = write_all(folder / FILE, unique(part.make_examples(recipe)))
            run.output("examples", folder / FILE)
    return finished("examples", run)


def unique(records: Iterable[Example]) -> Iterator[Example]:
    """The records, refused when two share an id: rows are joined by id. Raises UserError."""
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise UserError(f"two examples are called {record.id!r}", remedy="make the recipe's examples distinct")
        seen.add(record.id)
        yield record


if __name__ == "__main__":
    main(app)
