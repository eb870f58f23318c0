"""Names of stages: parts separated by slashes, most of them labels of arms made fit for folders."""

from __future__ import annotations

import re


def slug(label: str) -> str:
    """A label in lower case, with a hyphen for whatever stands between its letters, digits and points.

    >>> slug("MeCo, 1.5 x steps"), slug("LB + LR"), slug("1/2 of the prompts"), slug("cooldown 5 %")
    ('meco-1.5-x-steps', 'lb-lr', '1-2-of-the-prompts', 'cooldown-5')
    """
    return re.sub(r"[^\w.]+", "-", label.lower()).strip("-")
