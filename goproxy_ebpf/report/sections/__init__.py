"""The parts of the text report, one noun a file: each takes the trace and the page and gives lines."""
