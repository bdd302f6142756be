"""``baton examples``: make the fixed, seeded input records of a recipe."""

from collections.abc import Iterable, Iterator

from pipeline.contract.jobs import WithFiles
from pipeline.contract.load import load_part
from pipeline.contract.parts import ExamplesPart
from pipeline.errors import UserError
from pipeline.files import write_all
from pipeline.files.atomic import inside, write_atomically
from pipeline.run.folder import StageRun, stage_run
from schemas.rows import Example
from stages.common import Result, command, finished, main, stage_config
from stages.options import Options

FILE = "examples.jsonl"


@command("examples", shared=("task", "recipe", "settings", "seed", "out", "runs_dir", "force", "json"))
def app(options: Options) -> Result:
    """Make the fixed, seeded input records of a recipe.

    They depend on the recipe alone: the same recipe gives the same bytes. Images and other files that the records name
    are written beside them.

    Example: baton examples gridworld --recipe demo
    """
    recipe = options.load_recipe()
    part = load_part(options.task, ExamplesPart)
    folder = options.folder(recipe.name)
    config = stage_config(recipe, "examples", part.recipe_keys)
    request = options.request(folder, config, writes=(FILE, *part.files), resumable=True)
    with stage_run(request) as run:
        if not run.up_to_date:
            records = written(part.make(recipe), run)
            run.counts["num_examples"] = write_all(folder / FILE, unique(records))
            run.output("examples", folder / FILE)
    return finished("examples", run)


def written(made: Iterable[Example | WithFiles], run: StageRun) -> Iterator[Example]:
    """The records; the files of each are in the run's folder when it is yielded, and among the run's outputs.

    A file that an interrupted run left, and that is the same, is not written again.
    """
    for one in made:
        if not isinstance(one, WithFiles):
            yield one
            continue
        for name, data in one.files.items():
            if name in run.outputs:
                raise AssertionError(f"two examples write {name}")
            path = inside(run.folder, name)
            if not (run.resuming and path.is_file() and path.read_bytes() == data):
                write_atomically(path, [data])
            run.output(name, path)
        run.counts["num_files"] = run.counts.get("num_files", 0) + len(one.files)
        yield one.example


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
