"""Numbers for people: rows (dataclasses) -> totals -> text. Every format comes from the same rows."""
