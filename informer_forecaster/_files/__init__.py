"""Files that are written whole or not at all, and opened only if they are intact; no framework."""
