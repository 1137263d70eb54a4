"""The command line: one file per command. Each parses, calls and prints; heavy imports stand inside the commands."""
