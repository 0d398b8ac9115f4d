"""The tree of errors in the docstring is the tree in the code."""

from __future__ import annotations

import re

from tapekeeper import errors


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn: dict[str, str] = {}
    above = ["TapekeeperError"]
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r" {4}((?:│   |    )*)[├└]── (\w+)", line)
        if found:
            depth = len(found[1]) // len("│   ") + 1
            drawn[found[2]] = above[depth - 1]
            above[depth:] = [found[2]]
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.TapekeeperError) and kind is not errors.TapekeeperError
    }
    assert drawn == real
