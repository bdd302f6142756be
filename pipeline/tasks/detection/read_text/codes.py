"""The words in which the parser reports: names of repairs, codes of dropped objects, codes of errors.

docs/model-texts.md lists them all with examples; a test holds the two equal.
"""

REPAIRS: dict[str, str] = {
    "surrogates": "an escape stood for half a character (\\ud83d); its text has U+FFFD there",
    "bom": "a byte order mark stood before the text",
    "thinking": "the model thought before it answered: what stands before `</think>` is no answer",
    "fence": "a code fence stood around the JSON",
    "prose": "words stood around or between the JSON",
    "comments": "comments stood in the JSON",
    "full_width": "brackets, commas, colons or digits were full-width characters",
    "spaces": "space that JSON does not know (no-break space, form feed) stood between its parts",
    "quotes": "quotes were missing, single or curly, or stood unescaped in a text",
    "escapes": "an escape that JSON does not know, an unescaped control character, or an escaped quote around a text",
    "colon": "a colon was missing, or was an equals sign",
    "missing_comma": "a comma was missing",
    "trailing_comma": "a comma stood before a closing bracket",
    "extra_comma": "a comma stood where none belongs",
    "no_value": "a key had no value",
    "closing_bracket": "a closing bracket was missing",
    "opening_bracket": "an opening bracket was missing",
    "stray_bracket": "a closing bracket closed nothing",
    "python_literal": "True, False, None or a tuple of Python",
    "no_list": "an object stood in no list",
    "wrapper": "the list stood under a key other than `objects`, in another list, or deeper",
    "several_containers": "the objects stood in more than one list",
    "nested_objects": "an object stood inside another",
    "nested_list": "the coordinates stood in pairs, or in a list of one list",
    "several_boxes": "several boxes stood under one key: each is an object",
    "swapped_corners": "the corners of a box were in another order (with `text_format.swapped_corners: order`)",
    "quoted_numbers": "coordinates stood in quotes",
    "number_format": "a number with a plus, leading zeros or a bare point",
    "coord_tokens": "coordinates were written as tokens, <|coord_123|>",
}

DROP_CODES: dict[str, str] = {
    "line_geometry": "its geometry is a line",
    "point_geometry": "it is a point, which has no extent (in formats whose models write points)",
    "both_geometries": "it has more than one geometry",
    "unknown_geometry": "its numbers stand under a key that is neither `bbox_2d` nor `poly`",
    "no_geometry": "it has neither `bbox_2d` nor `poly`",
    "no_desc": "it has no `desc`, or an empty one, or one that is no text",
    "duplicate_key": "`desc` or its geometry is written twice",
    "wrong_arity": "a box without four numbers, or a polygon with fewer than six or an odd count",
    "not_a_number": "a coordinate is no number, or one is left out between two commas",
    "out_of_range": "a coordinate is below 0 or above 999, or outside of the grid of `text_format`",
    "not_whole": "a coordinate is not whole, in a format whose models write whole ones",
    "swapped_corners": "the first corner of the box is right of the second, or below it",
    "zero_area": "the box has no width or no height; all points of the polygon lie on one line",
    "unfinished": "the next object begins in the middle of its last value",
    "not_an_object": "a text or a number stands in the list, between the objects",
}

ERRORS: dict[str, str] = {
    "truncated": "the text ends inside an object; the objects before it are in `salvaged`",
    "empty_output": "the model wrote nothing",
    "no_json": "the text holds no list of objects",
}

CUT_WHILE_THINKING = "the text ends while the model thinks; the objects that it had drafted are in `salvaged`"
