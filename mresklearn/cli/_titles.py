"""Words for people in the place of names of the library."""

from __future__ import annotations

__all__ = ["PROTOCOLS"]

PROTOCOLS = {
    "within_site": "new people of known sites",
    "leave_one_site_out": "people of a site never seen",
}
