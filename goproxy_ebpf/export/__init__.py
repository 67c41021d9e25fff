"""The run in other programs' formats, one format a file; each gives bytes, the CLI writes them."""
