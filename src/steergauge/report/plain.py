"""Text that is shown as it is, whoever wrote it."""

import unicodedata

from rich.text import Text


def plain(text: str, style: str = "") -> Text:
    """Text that can neither mark itself up nor send the terminal a control sequence."""
    kept = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf"))
    return Text(kept, style=style)
