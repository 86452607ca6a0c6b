"""``merge.regenstore.driver``: merges recipe files for Git."""

from __future__ import annotations

from regenstore.errors import FormatError
from regenstore.objects import toml
from regenstore.objects.merge import merge_recipes
from regenstore.objects.recipe import Recipe
from regenstore.refs.git import people


def merge_files(base: str, ours: str, theirs: str, marker: int) -> bool:
    """Merge into the file ``ours``; True if there is no conflict.

    If any of the three files is not a recipe, Git's text merge is used.
    """
    texts = []
    for path in (base, ours, theirs):
        with open(path, "rb") as file:
            texts.append(file.read(toml.MAX_BYTES + 1))
    try:
        first = toml.decode(texts[0]) if texts[0] else None
        recipes: list[Recipe] = [toml.decode(text) for text in texts[1:]]
        if recipes[0].imported != recipes[1].imported:
            raise FormatError("bad-recipe", "one side is imported media")
        merged = merge_recipes(first, recipes[0], recipes[1], marker)
    except FormatError:
        return people.call(["merge-file", f"--marker-size={marker}", ours, base, theirs]).code == 0
    with open(ours, "wb") as file:
        file.write(merged.text)
    return not merged.conflicts
