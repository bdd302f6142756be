"""Detection: a vision-language model looks at an image and writes JSON with boxes and polygons."""
