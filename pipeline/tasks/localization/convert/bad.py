"""Every kind of fault of the files that people have, and what is expected instead."""

KINDS = {
    "wrong_row": "a row has as many cells as the header",
    "wrong_type": "a field has the type that the format gives it",
    "no_number": "the cell of a number holds one, with a point and without a unit",
    "no_place": "latitude and longitude are both given, or both left out; a receiver has them",
    "out_of_range": "latitudes are from -90 to 90, longitudes from -180 to 180 degrees",
    "no_level": "a level is in dBm, from -200 to 0; --set receivers=PATTERN leaves out what is no receiver",
    "id_twice": "an id stands once",
    "not_heard": "at least one receiver heard the transmission",
    "unknown_receiver": "a receiver that heard it is in the file of receivers",
    "receiver_twice": "a receiver hears a transmission once",
    "no_group": "a row says whose transmission it is, where data are split by that",
}
