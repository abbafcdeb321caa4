"""Settings that an earlier version of the code wrote, read as if today's had written them.

``config.json`` of a run and ``paper.json`` of a table outlive the code that wrote them. Whatever renames a type or moves
a setting adds its rule here, so that old run folders still open and a report sees no difference where there is none.
A new field with a default needs no rule: a field that is missing counts as its default.
"""

from typing import Any

OLD_NAMES: dict[str, tuple[str, ...]] = {
    "Collaborator": ("Member",),
    "PairedImage": ("Picture",),
}
"""Type -> the names that it had before."""

RETIRED: dict[str, dict[str, Any]] = {}
"""Type -> field that it no longer has -> its default at that time. Old settings that hold the default are as today's;
any other value is a setting that today's code cannot follow, so it stays and is reported as a difference."""

_NEW_NAMES = {old: new for new, names in OLD_NAMES.items() for old in names}


def upgrade(old: dict[str, Any]) -> dict[str, Any]:
    """Return settings in today's form; those that are in today's form already come back equal.

    The rules apply to every object inside ``old``, the innermost first. A rule for one type looks at ``fields["type"]``
    and returns the fields as today's code writes them.
    """
    fields = {key: _upgrade_value(value) for key, value in old.items()}
    name = fields.get("type")
    if isinstance(name, str):
        fields["type"] = name = _NEW_NAMES.get(name, name)
        retired = RETIRED.get(name, {})
        fields = {k: v for k, v in fields.items() if k not in retired or v != retired[k]}
    return fields


def _upgrade_value(value: Any) -> Any:
    if isinstance(value, dict):
        return upgrade(value)
    return [_upgrade_value(item) for item in value] if isinstance(value, list) else value
