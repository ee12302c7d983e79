"""Live view: a page that shows what the runner sees and says, for a board without a screen.

It contains a small HTTP server, the access rules, and the page.
May import: device.
"""

from .guard import make_token
from .labels import Labels
from .limits import Limits
from .server import LiveView, Place
from .site import Controls

__all__ = ["Controls", "Labels", "Limits", "LiveView", "Place", "make_token"]
