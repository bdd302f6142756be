"""Answers in tokens in place of JSON, such as ``cat<loc_10><loc_20><loc_300><loc_400>``: one reader, a table of forms.

Each form says in patterns what an entry looks like; an entry is a label and one or more boxes.
"""

import re
from typing import NamedTuple

from pipeline.tasks.detection.read_text.formats import Form
from pipeline.tasks.detection.read_text.objects import object_or_code
from pipeline.tasks.detection.read_text.patterns import BOX
from pipeline.tasks.detection.read_text.scale import Scale
from pipeline.tasks.detection.rows import DroppedObject, PredictedObject

_NUMBER = r"\s*+(-?+[0-9]++(?:\.[0-9]++)?+)\s*+"
_LIST = rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]"
_CORNERS = rf"\({_NUMBER},{_NUMBER}\)\s*+,\s*+\({_NUMBER},{_NUMBER}\)"
_PATCHES_A_SIDE = 32  # of Kosmos-2


class TokenForm(NamedTuple):
    """How objects are written in tokens.

    ``marks`` begin what belongs to an object. ``entry`` is matched there: its groups are ``label``, where it does not
    stand before the mark (``is_label_before``), and ``boxes``; what it does not match is no whole object. ``box`` is
    one box, its groups are its numbers; ``separator`` stands between several, and None says that there is only one;
    ``around`` stands around them all. ``bare`` is a label behind which no box follows. ``is_closed``: a token ends each
    entry; else the next one does, or the end of the text. ``is_in_prose``: words between objects are usual.
    """

    marks: tuple[str, ...]
    entry: re.Pattern[str]
    box: re.Pattern[str]
    separator: str | None
    around: tuple[str, str] = ("", "")
    bare: re.Pattern[str] = re.compile(r"(?!)")
    is_closed: bool = False
    is_label_before: bool = False
    is_in_prose: bool = False


def _tagged(label: tuple[str, str], boxes: tuple[str, str], box: str, *, is_list: bool) -> TokenForm:
    """A label in a pair of tokens, and behind it a list of boxes in a pair; or such pairs of one box each."""
    opening, closing = map(re.escape, label)
    first, last = map(re.escape, boxes)
    inside = rf"{first}[^<]*+{last}"
    return TokenForm(
        marks=(label[0], boxes[0]),
        entry=re.compile(
            rf"(?:{opening}(?P<label>[^<]*+){closing}\s*+)?+(?P<boxes>{inside if is_list else f'(?:{inside})++'})"
        ),
        box=re.compile(box if is_list else rf"{first}\s*+{box}\s*+{last}"),
        separator=r"\s*+,\s*+" if is_list else "",
        around=(rf"{first}\s*+\[\s*+", rf"\s*+\]\s*+{last}") if is_list else ("", ""),
        bare=re.compile(rf"{opening}[^<]*+{closing}(?=\s*+[^<\s])"),
        is_closed=True,
    )


FORMS: dict[Form, TokenForm] = {
    "ref_box": _tagged(("<ref>", "</ref>"), ("<box>", "</box>"), _LIST, is_list=True),
    "ref_det": _tagged(("<|ref|>", "<|/ref|>"), ("<|det|>", "<|/det|>"), _LIST, is_list=True),
    "qwen_tokens": _tagged(
        ("<|object_ref_start|>", "<|object_ref_end|>"), ("<|box_start|>", "<|box_end|>"), _CORNERS, is_list=False
    ),
    "qwen_tags": _tagged(("<ref>", "</ref>"), ("<box>", "</box>"), _CORNERS, is_list=False),
    "loc_behind": TokenForm(
        marks=("<loc_",),
        entry=re.compile(r"(?P<boxes>(?:<loc_[0-9]{1,4}>)++)"),
        box=re.compile(r"<loc_([0-9]++)>" * 4),
        separator="",
        is_label_before=True,
    ),
    "loc_before": TokenForm(
        marks=("<loc",),
        entry=re.compile(r"(?P<boxes>(?:<loc[0-9]{4}>)++)(?:<seg[0-9]{3}>)*+(?P<label>[^<;\n]*+)(?:[;\n]|\Z|(?=<))"),
        box=re.compile(r"<loc([0-9]{4})>" * 4),
        separator=None,
    ),
    "patches": TokenForm(
        marks=("<phrase>", "<object>"),
        entry=re.compile(
            r"(?:<phrase>(?P<label>[^<]*+)</phrase>\s*+)?+"
            r"<object>(?P<boxes>(?:<patch_index_[0-9]++>|</delimiter_of_multi_objects/>)++)</object>"
        ),
        box=re.compile(r"<patch_index_([0-9]++)><patch_index_([0-9]++)>"),
        separator="</delimiter_of_multi_objects/>",
        bare=re.compile(r"<phrase>[^<]*+</phrase>(?=\s*+[^<\s])"),
        is_closed=True,
        is_in_prose=True,
    ),
    "points": TokenForm(
        marks=("<point",),
        entry=re.compile(r"<points?+(?:\s[^<>]*+)?+>(?:(?P<label>[^<]*+)</points?+>)?+(?P<boxes>)"),
        box=re.compile(r"(?!)"),
        separator=None,
        is_in_prose=True,
    ),
}
_SPECIAL = re.compile(r"<[^<>\s]*+>")  # of the tokenizer, such as </s>: no words


class TokenReader:
    """What one text holds, from ``start`` on; the attributes are those of `scanner.Scanner`."""

    def __init__(self, text: str, form: Form, scale: Scale, start: int) -> None:
        self.text, self.form, self.scale, self.pos = text, FORMS[form], scale, start
        self.is_points = form == "points"
        self.preds: list[PredictedObject] = []
        self.dropped: list[DroppedObject] = []
        self.repairs: set[str] = set()
        self.repairs_of_complete = self.repairs  # an object in tokens needs none that those before it do not
        self.is_truncated = False
        self.is_empty = False  # no family has a word for it

    def read(self, cut: bool = False) -> None:
        """Read all of it. Never raises. A label at the text's end is whole unless the decoder ``cut`` it."""
        begins = re.compile("|".join(map(re.escape, self.form.marks)))
        while (mark := begins.search(self.text, self.pos)) is not None:
            start, label = self._words_before(mark.start())
            entry = self.form.entry.match(self.text, mark.start())
            if entry is not None:
                self._entry(entry, start, label, cut)
                self.pos = entry.end()
                continue
            following = begins.search(self.text, mark.end())
            self.pos = len(self.text) if following is None else following.start()
            self._broken(start, self.pos)
        tail = self.text[self.pos :]
        broken = tail[tail.rfind("<") :] if "<" in tail else ""
        if broken and any(token.startswith(broken) for token in self.form.marks):
            self.is_truncated = True
            tail = tail.removesuffix(broken)
        self._words(tail)

    def _words_before(self, stop: int) -> tuple[int, str]:
        """Where the object at the mark at ``stop`` begins, and its label where that stands before it."""
        between = self.text[self.pos : stop]
        if not self.form.is_label_before:
            self._words(between)
            return stop, ""
        label = between[max(between.rfind("<"), between.rfind(">")) + 1 :]
        self._words(between[: len(between) - len(label)])
        return stop - len(label.lstrip()), label

    def _words(self, between: str) -> None:
        if not self.form.is_in_prose and _SPECIAL.sub("", between).strip():
            self.repairs.add("prose")

    def _entry(self, entry: re.Match[str], start: int, label: str, cut: bool) -> None:
        """An entry that is whole by its tokens: its boxes, or why it has none."""
        span, groups = (start, entry.end()), entry.groupdict()
        label = (groups.get("label") or label).strip()
        is_at_end = entry.end() == len(self.text)
        if self.is_points:
            self.dropped.append(DroppedObject(code="point_geometry", span=span))
        elif not self._is_whole(groups["boxes"]):
            if is_at_end and not (self.form.is_closed or groups.get("label")):
                self.is_truncated = True  # more numbers may follow, and behind them the label
                self._boxes(groups["boxes"] if self.form.is_label_before else "", label, span)
            else:
                self.dropped.append(DroppedObject(code="wrong_arity", span=span))
        elif is_at_end and not (self.form.is_closed or self.form.is_label_before) and (cut or not label):
            self.is_truncated = True
        else:
            self._boxes(groups["boxes"], label, span)

    def _is_whole(self, boxes: str) -> bool:
        """The text is one box, or several, and nothing else."""
        before, behind = self.form.around
        one = self.form.box.pattern
        more = "" if self.form.separator is None else f"(?:{self.form.separator}{one})*+"
        return re.fullmatch(f"{before}{one}{more}{behind}", boxes) is not None

    def _boxes(self, boxes: str, label: str, span: tuple[int, int]) -> None:
        for box in self.form.box.finditer(boxes):
            numbers = _corners_of_patches(box) if len(box.groups()) == 2 else list(map(float, box.groups()))
            found = object_or_code(BOX, numbers, label, span, self.scale, self.repairs)
            if isinstance(found, str):
                self.dropped.append(DroppedObject(code=found, span=span))
            else:
                self.preds.append(found)

    def _broken(self, start: int, stop: int) -> None:
        """What begins as an object and is no whole one: a label alone, or the text ends in it, or it is dropped."""
        bare = self.form.bare.match(self.text, start)
        if bare is not None:
            self.dropped.append(DroppedObject(code="no_geometry", span=bare.span()))
        elif stop == len(self.text):
            self.is_truncated = True
        else:
            stop = start + len(self.text[start:stop].rstrip())
            self.dropped.append(DroppedObject(code="unfinished", span=(start, stop)))


def _corners_of_patches(box: re.Match[str]) -> list[float]:
    """x1, y1, x2, y2 as shares of the sides: from the middle of one patch to that of another.

    A box in one row or column of patches reaches to their edges, as in the family's own decoding.
    """
    side = _PATCHES_A_SIDE
    (y1, x1), (y2, x2) = (divmod(int(patch), side) for patch in box.groups())
    first, last = (0.0, 1.0) if x1 == x2 or y1 == y2 else (0.5, 0.5)
    return [(x1 + first) / side, (y1 + first) / side, (x2 + last) / side, (y2 + last) / side]
