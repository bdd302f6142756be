"""The regular expressions of the scanner, and what they are made of.

Every repetition is possessive (``*+``) or bounded, so that no pattern tries a text twice.
"""
# ruff: noqa: RUF001  (characters that look like others are what this file is about)

import functools
import re
from typing import NamedTuple

DESC, BOX, POLYGON = "desc", "bbox_2d", "poly"  # what a key is for, and what it is called by default
LINES = ("line", "line_2d", "polyline")
POINTS = ("point_2d", "point")
AREAS, NO_AREAS = (BOX, POLYGON), (*LINES, *POINTS)
ARGUMENTS = "arguments"  # of a tool call: their value is JSON, often written into a JSON string
FENCE = "```"

# Pieces

DOUBLE = '"“”„‟＂«»'
SINGLE = "'‘’‚‛＇´`"
QUOTES = DOUBLE + SINGLE
_QUOTE = rf"\\*+[{QUOTES}]"  # backslashes stand before it in JSON that was written into a JSON string
_NAME = r"[A-Za-z_][\w\-]*+"
_COMMENT_START = r"//|/\*|\#"
_LINE_COMMENT = r"(?://|\#)[^\n{}\[\]]*+"  # it ends at a bracket, too: lines may have been joined
JSON_NUMBER = r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
_JSON_NUMBERS = rf"{JSON_NUMBER}(?:\s*+,\s*+{JSON_NUMBER})*+"
_COORD_TOKEN = r"<\|coord_-?+[0-9]++\|>"


def _key(name: str, quote: str, *, is_bare: bool) -> str:
    """A key up to its colon: ``name`` with a ``quote`` before it, behind it or both; ``is_bare``: or with none."""
    bare = f"|{name}" if is_bare else ""
    return rf"(?:{quote}\s*+{name}\s*+(?:{quote})?+|{name}\s*+{quote}{bare})\s*+[:=]"


def _object_start(known: str, quote: str, *, is_bare: bool) -> str:
    """The beginning of an object: its brace and a known key, or any key in quotes."""
    return rf"\{{\s*+(?:{_key(known, quote, is_bare=is_bare)}|{_key(_NAME, quote, is_bare=False)})"


_JSON_KEY = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+:'  # a key of valid JSON, whatever its characters
_ANY_KEY = rf"(?:{_key(_NAME, _QUOTE, is_bare=True)}|{_JSON_KEY})"

# Keys, and what else stands in lists and objects

IS_KEY = re.compile(_ANY_KEY, re.DOTALL)
IS_QUOTED_KEY = re.compile(rf"{_key(_NAME, _QUOTE, is_bare=False)}|{_JSON_KEY}", re.DOTALL)
KEY = re.compile(rf"({_QUOTE})?+\s*+({_NAME})\s*+({_QUOTE})?+\s*+(?:([:=])\s*+)?+")
KEY_BEHIND_BRACKET = re.compile(rf"\]\s*+,\s*+(?:{_QUOTE})?+({_NAME})(?:{_QUOTE})?+\s*+:")
LOOKS_LIKE_VALUE = re.compile(rf"{_QUOTE}|[\[(0-9\-<]")
LOOKS_LIKE_JSON = re.compile(rf"[\[{{]\s*+(?:\Z|{_QUOTE}|[\[{{]|-?+[0-9]|{_NAME}\s*+(?:[:=]|\Z))")
SPACE = re.compile(r"\s*+")
BRACKET = re.compile(r"[\[{]")
FENCES = re.compile(rf"{FENCE}(?:json[5l]?|JSON|python|py|javascript|js|text)?")
LINE_COMMENT = re.compile(_LINE_COMMENT)
_LITERAL = "true|false|null|(True|False|None)|NaN|-?Infinity"
SCALAR = re.compile(rf"(?:{JSON_NUMBER}|{_LITERAL})(?=\s*+(?:[,}}\]]|\Z|{_ANY_KEY}))", re.DOTALL)
# A word with its apostrophes, or a quote with all its backslashes: one backslash at a time would take quadratic time.
JUNK = re.compile(rf"[^\s\[\]{{}}(),/#{QUOTES}\\]++(?:['’][^\W\d_]++)*+|\\++[{QUOTES}]?+|.", re.DOTALL)

# The shape of a good object, of which the decoder says whether it is one: two keys, a text and numbers.
_STRING = r'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"'
_BETWEEN = r"[\s:,\[\]0-9.eE+\-]*+"
_CLEAN = rf'\{{\s*+"(?:{DESC}|{BOX}|{POLYGON})"(?:{_BETWEEN}{_STRING}){{2}}{_BETWEEN}\}}'
CLEAN_OBJECT = re.compile(_CLEAN, re.DOTALL)
CLEAN_OBJECTS = re.compile(rf"{_CLEAN}(?:\s*+,\s*+{_CLEAN})*+", re.DOTALL)

# An object of two keys, with any quotes or none: a text, and what may be a list of numbers, of which `coordinates` says
# whether it is one. Groups: quote, name, quote; the list or the text; the same again; the comma before the brace.
_TEXTS = "|".join(
    rf"[{opener}][^{closers}\\\x00-\x1f]*+(?:\\.[^{closers}\\\x00-\x1f]*+)*+[{closers}]"
    for opener, closers in (('"', '"'), ("'", "'"), (DOUBLE.replace('"', ""), DOUBLE))
)
_IN_LIST = r"[^\[\](){}:]*+"
_ROUGH_LIST = rf"[{QUOTES}]?+[\[(]{_IN_LIST}(?:[\[(]{_IN_LIST}[\])]{_IN_LIST})*+[\])][{QUOTES}]?+"
_PAIR = rf"([{QUOTES}]?+)({_NAME})([{QUOTES}]?+)\s*+:\s*+(?:({_ROUGH_LIST})|({_TEXTS}))\s*+"
USUAL_OBJECT = re.compile(rf"\{{\s*+{_PAIR},\s*+{_PAIR}(,?+)\s*+\}}", re.DOTALL)

# Coordinates

_NUMBER = r"[+-]?+(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+(?![\w.])"
_NUMBERS = rf"{_NUMBER}(?:\s*+,\s*+{_NUMBER})*+"
_COORD_TOKENS = rf"{_COORD_TOKEN}(?:\s*+,?+\s*+{_COORD_TOKEN})*+"
JSON_LIST = re.compile(r"\[[0-9.eE+,\s]++\]")  # the decoder says whether it is one; it forgets the sign of -0
# Groups: the bracket; numbers or coordinates; a comma behind them.
PLAIN_LIST = re.compile(rf"([\[(])\s*+(?:({_NUMBERS})|({_COORD_TOKENS}))\s*+(,?+)\s*+[\])]")
# The first alternative that matches is the token. A comment of several lines is short and holds no bracket.
TOKEN = re.compile(
    rf"""(?P<space>\s++)
    |(?P<comma>,)
    |(?P<coords>{_COORD_TOKENS})
    |(?P<numbers>{_NUMBERS})
    |(?P<open>[\[(])
    |(?P<close>[\])])
    |(?P<brace>[{{}}])
    |(?P<fence>{FENCE})
    |(?P<comment>{_LINE_COMMENT}|/\*[^{{}}\[\]]{{0,200}}?\*/)
    |(?P<quote>{_QUOTE})
    |(?P<word>[\w.+\-]++)
    |(?P<other>\\++|.)""",
    re.VERBOSE | re.DOTALL,
)
INTEGER = re.compile(r"-?+[0-9]++")
JSON_NUMBERS = re.compile(_JSON_NUMBERS)
CLOSING_QUOTE = re.compile(rf"\s*+\\*+(?!{_key(_NAME, f'[{QUOTES}]', is_bare=True)})[{QUOTES}]")
IS_BEHIND_VALUE = re.compile(rf"\s*+(?:\}}|,\s*+{_ANY_KEY})", re.DOTALL)
_ROUGH_NUMBER = rf"(?:[-+.0-9][-+.0-9eE]*+|{_COORD_TOKEN})\s*+,?+\s*+"
LIST_OF_NUMBERS = re.compile(rf"\[\s*+(?:{_ROUGH_NUMBER}|\[\s*+(?:{_ROUGH_NUMBER})++\]\s*+,?+\s*+)++\]")

# Texts

OPENER = re.compile(rf"(\\*+)([{QUOTES}])")
_TEXT_SPACE = r"(?:\s|\\[nrt])*+"
JSON_IN_TEXT = re.compile(rf"\s*+{_QUOTE}{_TEXT_SPACE}([\[{{])(?={_TEXT_SPACE}(?:[\[{{\]}}]|\\++[{QUOTES}]))")
ESCAPED_SPACE = re.compile(r"(?<!\\)\\[nrt]")  # of JSON in a text; two characters
_CLOSERS = (
    {'"': '"', "'": "'"}
    | dict.fromkeys(DOUBLE.replace('"', ""), DOUBLE)
    | dict.fromkeys(SINGLE.strip("'´`"), SINGLE.strip("´`"))
    | dict.fromkeys("´`", "'´`")
)
BODY = {  # from behind an opening quote to the next one that could close it
    opener: re.compile(rf"[^{closers}\\]*+(?:\\.[^{closers}\\]*+)*+(?=[{closers}])", re.DOTALL)
    for opener, closers in _CLOSERS.items()
}
# JSON written into a JSON string: \"desc\":\"cat\". Four backslashes are one in the text, three escape a quote.
ESCAPED_CLOSER = re.compile(rf"(?<!\\)(?:\\{{4}})*+(\\{{1,2}}[{QUOTES}])")
COLON = re.compile(r"\s*+:")
TRAILING_COMMA = re.compile(r",\s*+[}\]]")
ENDS_LIST_TEXT = re.compile(rf"\s*+(?:[,\]}}]|\Z|{FENCE}|{_COMMENT_START})")
ENDS_VALUE = re.compile(rf"\s*+(?:[}}\]]|\Z|,\s*+(?:\{{|{_ANY_KEY}))", re.DOTALL)


def _follow(known: str, quote: str, *, is_bare: bool) -> str:
    """What may stand behind the quote that closes a value, in an answer that writes such quotes."""
    after_comma = rf"[}}\]{{]|{_key(_NAME, quote, is_bare=is_bare)}|{_COMMENT_START}|\Z"
    return (
        rf"\s*+(?:[}}\]]|\Z|,\s*+(?:{after_comma})|{_key(known, quote, is_bare=True)}"
        rf"|{quote}{_NAME}{quote}\s*+[:=]|{FENCE}|{_COMMENT_START}|{_object_start(known, quote, is_bare=is_bare)})"
    )


class Words:
    """The keys that objects of an answer have, and the patterns that depend on them.

    ``kinds`` says of each key what it is for: DESC, BOX, POLYGON, or one of LINES and POINTS, which are called so.
    """

    def __init__(self, desc: str, box: str, poly: str | None, has_points: bool) -> None:
        named = {desc: DESC, box: BOX} | ({poly: POLYGON} if poly else {})
        others = (*LINES, *(POINTS if has_points else ()))
        self.kinds = named | {name: name for name in others if name not in named}
        self.known = known = f"(?:{'|'.join(map(re.escape, self.kinds))})"
        self.is_known_key = re.compile(_key(known, _QUOTE, is_bare=True))
        self.is_object = re.compile(_object_start(known, _QUOTE, is_bare=True))
        self.known_key_in_quotes = re.compile(rf"{_QUOTE}\s*+{known}\s*+{_QUOTE}\s*+[:=]")
        self.quote_and_known_key = re.compile(rf"{_QUOTE}\s*+{known}\s*+[:=]")
        # Where keys have no quotes, what looks like the next key or object inside a text tells that a quote is missing.
        self.bare_boundary = re.compile(rf"(?:\}}\s*+(?:,\s*+)?+\{{|,)\s*+{known}\s*+[:=]")
        self.can_follow = re.compile(rf"{_follow(known, _QUOTE, is_bare=True)}|\s*+[,{{]\s*+{_JSON_KEY}", re.DOTALL)
        # A text without its closing quote: plain characters, behind which the object ends or goes on. No quote stands
        # between them, so that a valid text is none of these.
        self.unclosed = {
            opener: re.compile(
                rf"[^{QUOTES}{{}}\[\]\\,:=\n]++"
                rf"(?=,\s*+[{kind}]{known}[{kind}]\s*+[:=]|\}}\s*+(?:,\s*+)?+\{{\s*+[{kind}])"
            )
            for kind in (DOUBLE, SINGLE)
            for opener in kind
        }


words = functools.cache(Words)


class Style(NamedTuple):
    """What an answer that writes its keys and texts in certain quotes looks like behind a text.

    Only these quotes count: other ones, and escaped ones, may be part of a text, which may hold JSON itself.
    """

    mark: re.Pattern[str]  # whatever may end a text
    closer: re.Pattern[str]
    follow: re.Pattern[str]
    known_key: re.Pattern[str]
    object_start: re.Pattern[str]
    comma_key: re.Pattern[str]
    after_brace: re.Pattern[str]


@functools.cache
def style(known: str, kinds: str, is_bare: bool, is_escaped: bool) -> Style:
    """Of an answer whose keys are ``known`` and whose quotes are ``kinds``; keys have none (``is_bare``); all of them
    have backslashes."""
    quote = rf"\\++[{kinds}]" if is_escaped else f"[{kinds}]"
    start = _object_start(known, quote, is_bare=is_bare)
    quotes = rf"\\++[{kinds}]?+" if is_escaped else rf"\\.|[{kinds}]"
    return Style(
        mark=re.compile(rf"{quotes}|[{{}},\[\]]|(?<![\w.]){known}\s*+[:=]", re.DOTALL),
        closer=re.compile(rf"(?:\\{{4}})*+(\\{{1,2}}[{kinds}])" if is_escaped else rf"({quote})"),
        follow=re.compile(_follow(known, quote, is_bare=is_bare)),
        known_key=re.compile(rf"{quote}\s*+{known}\s*+{quote}\s*+[:=]"),
        object_start=re.compile(start),
        comma_key=re.compile(rf",\s*+(?:{_key(_NAME, quote, is_bare=is_bare)}|{start})"),
        after_brace=re.compile(rf"\s*+(?:\}}|{FENCE}|(?:,\s*+)?+(?:\]|{start}))|[ \t]*+\n"),
    )


# Characters

CONTROL = re.compile(r"[\x00-\x1f]")
ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))",
    re.DOTALL,
)
# Full-width forms of what has a meaning outside of texts. One character stands for one, so that offsets stay.
_FULL_WIDTH = "，、：＝［］｛｝（）【】０１２３４５６７８９．－＋"
_PLAIN = str.maketrans(_FULL_WIDTH, ",,:=[]{}()[]0123456789.-+")
_ODD_SPACES = "".join(char for char in map(chr, range(0x3001)) if char.isspace() and char not in " \t\n\r")
ODD = re.compile(f"[{_FULL_WIDTH}{_ODD_SPACES}]")  # a fault where it stands outside of texts


def plain_width(text: str) -> str:
    """``text`` with full-width punctuation and digits made plain; of the same length."""
    return text.translate(_PLAIN)
