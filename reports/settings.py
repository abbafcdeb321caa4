"""Settings of a run as ``path: value`` pairs, and their differences from the paper profile."""

from collections.abc import Iterator
from typing import Any

ABSENT = "absent"


def flatten(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf of a nested JSON value with its path: ``trainer.max_steps``, ``data[0].image_size``."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flatten(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for i, item in enumerate(value):
            yield from flatten(item, f"{where}[{i}]")
    else:
        yield where, value


def differences(here: dict[str, Any], there: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (path, value here, value there) for every leaf in which two configs differ."""
    a, b = dict(flatten(here)), dict(flatten(there))
    return [(k, a.get(k, ABSENT), b.get(k, ABSENT)) for k in {**a, **b} if a.get(k, ABSENT) != b.get(k, ABSENT)]


def models(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the settings of the trainings whose models a sample run's method uses; released models do not count."""
    method = config.get("method")
    if not isinstance(method, dict):
        return []
    found = [method.get("model"), *(method.get("models") or ())]
    found += [expert.get("run") for expert in (*(method.get("experts") or ()), method.get("expert") or {})]
    return [m for m in found if isinstance(m, dict) and m.get("type") == "TrainRun"] + models(method)
