"""People reading outputs: the order of what they are shown, and the local page that shows it."""
