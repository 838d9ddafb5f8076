"""Optional packages: imported where they are used, and their absence is told."""

import importlib
import logging
from typing import Any

from steergauge.errors import SteergaugeError


def require_extra(package: str, extra: str, purpose: str) -> Any:
    """Imports an optional package, without what it logs as it is imported.

    Args:
        package: what is imported.
        extra: what brings it.
        purpose: what needs it, in words.

    Raises:
        SteergaugeError: it is not installed; the extra that brings it is named.
    """
    silenced = logging.root.manager.disable
    logging.disable(max(silenced, logging.WARNING))
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise SteergaugeError(
            f"{purpose} needs a package that is not installed: pip install 'steergauge[{extra}]'"
        ) from None
    finally:
        logging.disable(silenced)
