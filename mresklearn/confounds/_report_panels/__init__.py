"""The pictures of a confound report, one file for each question."""
