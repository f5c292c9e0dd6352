"""Tools for people who write estimators of their own."""
