"""The command line: one file per group of commands. Each parses, calls and prints; imports stand inside the commands."""
