"""Durations as people read them; every page, listing and message that tells a time uses these words."""

UNITS = ((86_400, "days", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
"""Seconds and name of a unit and of the smaller one beside it."""
FEWEST = {"days": 2}
"""Least number of a unit, 1 where nothing is said: the 36 h of a job stay hours."""


def duration(seconds: float) -> str:
    """Return a time, not negative, in at most two units: ``under 1 s``, ``42 s``, ``1 min 35 s``, ``2 h``, ``3 days 4 h``."""
    for size, name, part, smaller in UNITS:
        if round(seconds) >= size * FEWEST.get(name, 1):
            count, rest = divmod(round(seconds / part), size // part)
            return f"{count} {name} {rest} {smaller}" if rest else f"{count} {name}"
    return f"{round(seconds)} s" if round(seconds) else "under 1 s"
