"""The command line: wiring only. ``main`` holds the table of commands, which are loaded when they are called."""
