"""Artifacts: durable values beside train states, such as samples, tables and masks."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np

from stagejax import checkpoint
from stagejax.declare import Json, fingerprint
from stagejax.state import digest
from stagejax.workdir import Entry


def store_value(entry: Entry, value: Any) -> Json:
    """Write an artifact's arrays, and return the page that says what it is.

    Raises:
      TypeError: it is neither JSON nor a dictionary of numpy arrays.
    """
    if isinstance(value, dict) and value and all(isinstance(v, np.ndarray) for v in value.values()):
        for name, array in value.items():
            if array.dtype.hasobject or array.dtype.isbuiltin == 2:  # bfloat16 and its like come back as bare bytes
                raise TypeError(f"array {name!r} of an artifact is {array.dtype}: make it one that numpy files hold")
        if jax.process_index() == 0:
            checkpoint.write_arrays(entry.path / "value.npz", value)
        return {"digest": digest(value), "arrays": True, "value": None}
    try:
        value = json.loads(json.dumps(value))
    except TypeError as error:
        raise TypeError(f"an artifact is JSON or a dictionary of numpy arrays, but {error}") from error
    return {"digest": fingerprint(value), "arrays": False, "value": value}


def load_value(entry: Entry, page: Json) -> Any:
    """The artifact that a page speaks of, checked against its digest."""
    if not page["arrays"]:
        return page["value"]
    value = checkpoint.read_arrays(entry.path / "value.npz")
    checkpoint.check_digest(digest(value), page["digest"], entry.path)
    return value
