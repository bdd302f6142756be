"""Every kind of fault of the files of other tools, and what is expected instead."""

# Every kind of fault, and what is expected instead. A bad polygon costs the polygon where there is a box, all others
# cost the entry.
KINDS = {
    "wrong_type": "a field has the type that the format gives it",
    "no_id": "an annotation has an id",
    "id_twice": "an id stands once",
    "no_name": "a category has a name",
    "bad_image_size": "width and height of an image are whole numbers of pixels, from 1",
    "bad_image": "an image can be opened, and its EXIF does not ask to turn it",
    "unknown_image": "an image with this id is in the file, and not left out itself",
    "unknown_category": "a category with this id is in the file, and not left out itself",
    "no_score": "a result has a score",
    "wrong_line": "a line is `class x y w h` or `class x1 y1 x2 y2 x3 y3 ...`, a confidence behind predictions",
    "out_of_range": "coordinates are shares of the image, from 0 to 1",
    "no_geometry": "there is a bbox or a segmentation",
    "negative_size": "a box is [x, y, width, height], with a width and a height of at least 0",
    "negative_area": "an area is at least 0",
    "bad_polygon": "a segmentation is a list of polygons, each a list [x1, y1, x2, y2, x3, y3, ...]",
    "bad_mask": "the runs of a mask cover its size, which is that of its image",
    "too_large": "a number is of this world: a coordinate of a polygon below 2 million, any other below 1e18",
}
