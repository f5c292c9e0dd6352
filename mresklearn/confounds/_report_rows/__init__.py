"""The rows of a confound report, one file for each question they answer."""
