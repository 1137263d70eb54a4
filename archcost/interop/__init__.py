"""Networks from outside the catalogue."""
