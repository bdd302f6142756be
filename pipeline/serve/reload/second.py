"""A second model beside the one that answers: which requests it answers, or that it is asked in the shadow."""

from hashlib import blake2b


def takes(key: str, share: float) -> bool:
    """Whether a key is among the ``share`` (0 to 1) of all keys. The same key is, whoever asks and whenever, and one
    that is in a share is in each larger one."""
    number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
    return number < share * 2**64
