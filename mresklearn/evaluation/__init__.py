"""What an estimator reaches at new sites, beside what it tells of the site, setting by setting."""

from ._invariance_path import InvariancePath, invariance_path

__all__ = ["InvariancePath", "invariance_path"]
