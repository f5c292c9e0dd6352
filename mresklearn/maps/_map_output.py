"""What `set_output` means where the output may be maps: they are no table, and stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from sklearn.base import TransformerMixin
from sklearn.utils._set_output import _wrap_data_with_container

from ._map_array import MapArray

__all__ = ["MapOutputMixin"]


class MapOutputMixin(TransformerMixin):
    """A transformer that hands maps on untouched, and makes a frame of a table where asked to."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls._sklearn_auto_wrap_output_keys:  # a subclass that wants no frames
            return
        for name in ("transform", "fit_transform"):
            method = getattr(cls, name, None)
            if method is not None and not hasattr(method, "_leaves_maps"):
                setattr(cls, name, _leaving_maps(method.__wrapped__))


def _leaving_maps(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that wraps its output as `set_output` says, unless that is maps."""

    @wraps(method)
    def wrapped(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        output = method(self, X, *args, **kwargs)
        if isinstance(output, MapArray):
            return output
        return _wrap_data_with_container("transform", output, X, self)

    wrapped._leaves_maps = True  # type: ignore[attr-defined]
    return wrapped
