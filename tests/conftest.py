"""Makes this folder importable: recorded runs that several test folders read stand here."""
