"""What the parser made of an answer whose truth is known: what it missed, what it invented, and what else is wrong."""

from collections import Counter

from pipeline.tasks.detection.read_text.parse import Parsed
from pipeline.tasks.detection.rows import PredictedObject
from tests.tasks.detection.read_text.answers import BOX, POLYGON, Answer, Thing


def judge(answer: Answer, parsed: Parsed) -> Counter[str]:
    """What is wrong with ``parsed``: counts of objects that were missed, invented or given the wrong span, and of
    other faults. Also how many objects were complete, under "complete"."""
    spans = answer.spans()
    good = [owner for owner in answer.complete() if answer.things[owner].fault is None]
    sure, unsure = good, set[int]()
    if answer.is_open_before_words():
        last = max(spans)
        good, unsure = [*good, last] if answer.things[last].fault is None else good, {last}
    elif (answer.is_cut or not answer.roles("list]")) and good and good[-1] in answer.unsure:
        sure, unsure = good[:-1], {good[-1]}
    expected = {owner: _as_found(answer.things[owner]) for owner in good}
    found = [*parsed.preds, *parsed.salvaged]
    wrong = Counter(complete=len(sure))
    missing = Counter(expected[owner] for owner in sure) - Counter(map(_facts, found))
    wrong["missed"] = missing.total()
    allowed = Counter(expected.values())
    wrong["invented"] = (Counter(map(_facts, found)) - allowed).total()
    if not wrong["missed"] and not wrong["invented"]:
        kept = [owner for owner in good if owner not in unsure or len(found) == len(good)]
        wrong["span"] = sum(
            not _is_span(one, spans[owner], parsed.raw_output) or _facts(one) != expected[owner]
            for one, owner in zip(found, kept, strict=True)
        )
    inside = answer.ends_inside()
    if parsed.status == "truncated" and parsed.preds:
        wrong["status"] += 1
    if inside != (parsed.status == "truncated") and good and not unsure:
        wrong["status"] += 1
    is_open = bool(answer.after) and not answer.roles("list]")  # decoys behind it are inside the list
    if not (answer.is_cut or unsure or is_open):
        faults = [
            thing.fault for owner, thing in enumerate(answer.things) if thing.fault and owner in answer.complete()
        ]
        wrong["codes"] = int(sorted(map(str, faults)) != sorted(one.code for one in parsed.dropped))
    return +wrong


def _is_span(one: PredictedObject, span: tuple[int, int], text: str) -> bool:
    """The object's own characters; where its brace was lost, up to the bracket that closed it in its place."""
    start, stop = one.span or (0, 0)
    return (
        start == span[0] and stop >= span[1] and not text[span[1] : stop].replace(', "done": true', "").strip(" \n,}")
    )


def _as_found(thing: Thing) -> tuple[str, str, tuple[float, ...]]:
    return thing.desc, thing.kind, thing.numbers


def _facts(one: PredictedObject) -> tuple[str, str, tuple[float, ...]]:
    if one.bbox_2d is not None:
        return one.desc, BOX, one.bbox_2d
    return one.desc, POLYGON, tuple(one.poly or ())
