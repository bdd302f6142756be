"""What most objects and fields look like: patterns that take in a whole one at once, where nothing is in doubt.

They are there for speed: what they do not match, `reader` reads piece by piece, with the same result.
"""

import re
from typing import NamedTuple

from pipeline.tasks.detection.coordinates import MAX_COORDINATE, fault
from pipeline.tasks.detection.lexer import BOX, DESC, DOUBLE, KNOWN_NAME, POLYGON, QUOTES, SINGLE, WORD
from pipeline.tasks.detection.lexer import unescape as unescaped
from pipeline.tasks.detection.rows import PredictedObject

_INTEGER = r"(?:0|[1-9][0-9]*+)"
_NUMBER = r"[+-]?+(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+"
_TOKEN = r"<\|coord_[0-9]++\|>"
_QUOTE = f"[{QUOTES}]"
_PLAIN_CHARACTER = rf"[^{QUOTES}\\{{}}\[\],:=\n]"  # ends a text whose quotes are in doubt
_LITERAL = r"(?:null|None|true|True|false|False|NaN|Infinity|undefined)\b"


class Patterns(NamedTuple):
    """Compiled for one kind of space between the parts."""

    objects: tuple[re.Pattern[str], re.Pattern[str]]  # the geometry first, the text first
    next_object: re.Pattern[str]
    geometry: re.Pattern[str]
    desc: re.Pattern[str]
    other: re.Pattern[str]


def _key(name: str, space: str) -> str:
    """A key with any quotes, or without; one group."""
    return rf"({_QUOTE}?+{name}{_QUOTE}?+){space}:{space}"


def _numbers(space: str, *, is_plain: bool) -> str:
    """A list of numbers. Groups: plain whole ones; others or tokens; a list of another form; trailing comma; bracket.

    The bracket may be missing where the object goes on or ends behind plain numbers.
    """
    integers = f"{_INTEGER}(?:{space},{space}{_INTEGER})*+"
    pair = rf"\[{space}{_INTEGER}{space},{space}{_INTEGER}{space}\]"
    others = (
        rf"{_NUMBER}(?:(?:{space},{space}|[ \t\n\r]++){_NUMBER})*+"
        rf"|{_QUOTE}?+{_TOKEN}{_QUOTE}?+(?:{space},?+{space}{_QUOTE}?+{_TOKEN}{_QUOTE}?+)*+"
    )
    forms = (
        rf"\({space}{integers}{space}\)|(?:\"\[{space}{integers}{space}\]\")"
        rf"|\[{space}\[{space}{integers}{space}\]{space}\]|\[{space}{pair}(?:{space},{space}{pair})*+{space}\]"
    )
    whole = f"({integers})(?={space}[,\\]}}])" if is_plain else "((?!))"
    end = rf"(?:{space}(,?+){space}(\])|(?={space}[,}}]))"
    return rf"(?:\[{space}(?:{whole}|({others})){end}|({forms}))"


def _texts() -> str:
    """A text up to the next quote of its kind, which is not in it. Four groups, one of which matches."""
    straight = "|".join(rf"{quote}([^{quote}\\]*+(?:\\.[^{quote}\\]*+)*+){quote}" for quote in "\"'")
    return straight + "".join(rf"|[{kind}]([^{kind}\\]*+)[{kind}]" for kind in (DOUBLE, SINGLE))


def _texts_in_doubt(space: str) -> str:
    """Quotes inside a text, or missing around it. Four groups, one of which matches."""
    known = rf"{space}(?:[}}\]]|,{space}{_QUOTE}?+{KNOWN_NAME}{_QUOTE}?+{space}:)"
    inner = "|".join(
        rf"{quote}((?:{_PLAIN_CHARACTER}|[{others}])*+(?:{quote}(?:{_PLAIN_CHARACTER}|[{others}])*+)+?){quote}(?={known})"
        for quote, others in (('"', QUOTES.replace('"', "")), ("'", QUOTES.replace("'", "")))
    )
    goes_on = rf"\}}{space}(?:\]|,?+{space}\{{{space}{_QUOTE})|,{space}{_QUOTE}{KNOWN_NAME}{_QUOTE}{space}:"
    return (
        rf"{inner}|((?!{_LITERAL})[^\W\d_]{_PLAIN_CHARACTER}*+){_QUOTE}?+(?={known})"
        rf"|{_QUOTE}({_PLAIN_CHARACTER}++)(?={space}(?:{goes_on}))"
    )


def _compiled(space: str, *, is_plain: bool) -> Patterns:
    geometry = _key(f"(?:{BOX}|{POLYGON})", space) + _numbers(space, is_plain=is_plain)
    desc = _key(DESC, space)
    between = f"{space}(,?+){space}"
    end = rf"(?:{between}(\}})|(?={space},{space}\{{{space}{_QUOTE}))"
    behind = rf"{space}(?:[}}\]]|,{space}(?:\{{|{_QUOTE}?+{WORD}{_QUOTE}?+{space}:))"
    other = (
        rf"(?:({_QUOTE}?+)(?!{KNOWN_NAME}\b){WORD}({_QUOTE}?+){space}:{space}(?:-?{_INTEGER}(?:\.[0-9]++)?+|true|false|null"
        rf'|(True|False|None)|"[^"\\\x00-\x1f]*+"|(\'[^\'\\\x00-\x1f]*+\'))'
        rf"|({_QUOTE}?+(?:{BOX}|{POLYGON}){_QUOTE}?+){space}:{space}(?:null|(None)))(?={behind})"
    )
    return Patterns(
        objects=(
            re.compile(rf"\{{{space}{geometry}{between}{desc}(?:{_texts()}){end}", re.DOTALL),
            re.compile(rf"\{{{space}{desc}(?:{_texts()}){between}{geometry}{end}", re.DOTALL),
        ),
        next_object=re.compile(rf"{space}(,?+){space}(?=\{{)"),
        geometry=re.compile(rf"{geometry}(?={behind})"),
        desc=re.compile(rf"{desc}(?:(?:{_texts()})(?={behind})|{_texts_in_doubt(space)})", re.DOTALL),
        other=re.compile(other),
    )


_COMMENT = r"//[^\n{}\[\]]*+|\#[^\n{}\[\]]*+|/\*[^*\n]{0,200}+\*/"
_COMMENTS = re.compile(_COMMENT)
PLAIN = _compiled(r"[ \t\n\r]*+", is_plain=True)
COMMENTED = _compiled(rf"(?:[ \t\n\r]++|{_COMMENT})*+", is_plain=False)


def patterns_for(text: str) -> Patterns:
    """Those that are fast, or, where ``text`` may hold comments, those that know them."""
    return COMMENTED if "//" in text or "/*" in text or "#" in text else PLAIN


def has_comment(text: str) -> bool:
    """``text``, which is no part of a text value, holds a comment."""
    return "/" in text or "#" in text


TEXT_GROUP = (9, 2)  # the first of the four groups that hold an object's text, in either order
_CLEAN = ((f'"{BOX}"', f'"{DESC}"'), (f'"{POLYGON}"', f'"{DESC}"'))
_STRUCTURE = re.compile(r"[{:=]")
_DIGITS = re.compile("[0-9]++")
_NUMBERS = re.compile(_NUMBER)
_IN_JSON = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+\Z")


def usual_object(match: re.Match[str], is_text_first: bool, repairs: set[str]) -> PredictedObject | str | None:
    """The object that one of `Patterns.objects` matched, or the code of why it is none; repairs go to ``repairs``.

    None when a closer look is needed: where a quote may be missing, so that the text seems longer than it is.
    """
    groups = match.groups()
    if is_text_first:
        desc_key, text, single, curly, curly_single, comma, key, whole, other, inner, bracket, form, last, brace = (
            groups
        )
    else:
        key, whole, other, inner, bracket, form, comma, desc_key, text, single, curly, curly_single, last, brace = (
            groups
        )
    if whole and text and (key, desc_key) in _CLEAN and comma and brace and bracket and not inner and not last:
        numbers = list(map(float, whole.split(",")))
    else:
        text = text or single or curly or curly_single or ""
        if (desc_key == DESC and _STRUCTURE.search(text)) or (not comma and text[-1:] in ("", "{", ",", " ")):
            return None
        if groups[1 if is_text_first else 8] is None or (key, desc_key) not in _CLEAN:
            repairs.add("quotes")
        if not comma:
            repairs.add("missing_comma")
        if inner or last:
            repairs.add("trailing_comma")
        if not brace:
            repairs.add("closing_bracket")
        numbers = read_numbers(whole, other, form, bracket, repairs)
    if not text.isprintable() or "\\" in text:
        text = unescaped(text, repairs)
    if BOX in key:
        if len(numbers) == 4 and text and not text.isspace():
            x1, y1, x2, y2 = numbers
            if 0 <= x1 < x2 <= MAX_COORDINATE and 0 <= y1 < y2 <= MAX_COORDINATE:
                return PredictedObject(desc=text, bbox_2d=(x1, y1, x2, y2), score=1.0, span=match.span())
        return fault(BOX, numbers) or "no_desc"
    code = fault(POLYGON, numbers) or (None if text and not text.isspace() else "no_desc")
    return code or PredictedObject(desc=text, poly=numbers, score=1.0, span=match.span())


def read_numbers(
    whole: str | None, other: str | None, form: str | None, bracket: str | None, repairs: set[str]
) -> list[float]:
    """The numbers in the groups of a geometry."""
    if not bracket and not form:
        repairs.add("closing_bracket")
    if whole:
        return list(map(float, whole.split(",")))
    if form:
        repairs.add({"(": "python_literal", '"': "quoted_numbers"}.get(form[0], "nested_list"))
        return list(map(float, _DIGITS.findall(_without_comments(form))))
    text = _without_comments(other or "")
    if "<" in text:
        repairs |= {"coord_tokens", "quoted_numbers"} if text[0] in QUOTES else {"coord_tokens"}
        return list(map(float, _DIGITS.findall(text)))
    numbers = _NUMBERS.findall(text)
    if not all(map(_IN_JSON.match, numbers)):
        repairs.add("number_format")
    if text.count(",") < len(numbers) - 1:
        repairs.add("missing_comma")
    return list(map(float, numbers))


def usual_text(match: re.Match[str], repairs: set[str]) -> str | None:
    """The text that `Patterns.desc` matched; None when a quote may be missing, so that it seems longer than it is."""
    kind = match.lastindex or 2
    text = match[kind]
    if match[1] == DESC and _STRUCTURE.search(text):
        return None
    if kind != 2 or match[1] != f'"{DESC}"':
        repairs.add("quotes")
    return text.strip() if kind >= 8 else text


def _without_comments(text: str) -> str:
    return _COMMENTS.sub(" ", text) if has_comment(text) else text
