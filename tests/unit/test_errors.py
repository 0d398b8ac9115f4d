"""The tree of errors in the docstring is the tree in the code."""

from __future__ import annotations

import re

from tapekeeper import errors


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn: dict[str, str] = {}
    branch = ""
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"\s*(│   |    )?[├└]── (\w+)", line)
        if found and "(" not in line.split(found[2])[0]:
            indented = line.strip().startswith("│") or line.startswith("        ")
            drawn[found[2]] = branch if indented else "TapekeeperError"
            branch = branch if indented else found[2]
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.TapekeeperError) and kind is not errors.TapekeeperError
    }
    assert drawn == real
