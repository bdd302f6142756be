"""Why a record has no answer: the codes of rows whose status is "not_run". docs/detection.md lists them."""

FAILURES: dict[str, str] = {
    "no_image": "the record names no image",
    "multi_image_not_supported": "the record names more than one image",
    "image_outside_root": "the path is absolute, or leads out of the image root, be it through a link",
    "image_missing": "there is no such file",
    "image_too_large": "the file has more bytes, or the image more pixels, than the recipe's `infer` allows",
    "image_unreadable": "the file is no image that can be decoded, or may not be read",
    "image_truncated": "the file ends before the image does",
    "image_size_differs": "the image is not `width` by `height` pixels",
    "no_text": "the replay file has no text for the record",
    "out_of_memory": "the record alone does not fit into memory",
    "model_failed": "the model raised an error on this record alone",
    "model_not_finite": "the model's logits were NaN or infinite",
    "server_refused": "the server refused the request (a 4xx answer)",
    "server_failed": "the server answered with an error each time (5xx, or 429)",
    "server_timeout": "the server took longer than `server.timeout_s` each time",
    "server_broke_off": "the connection broke before the answer was whole, each time",
    "server_malformed": "the server's answer was not what the interface promises, each time",
}
