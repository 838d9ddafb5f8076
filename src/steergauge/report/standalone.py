"""A page as one self-contained HTML file: nothing is fetched, and nothing a model wrote is executed."""

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def standalone_page(template: str, *, script: str | None = None, **values: object) -> str:
    """Renders a template with the style, and the script, that its policy allows and no other.

    Args:
        template: its file in this package.
        script: the file of its script in this package, if it has one.
        values: what it shows.
    """
    environment = Environment(
        loader=PackageLoader("steergauge.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = files("steergauge.report")
    style = own.joinpath("page.css").read_text(encoding="utf-8")
    source = own.joinpath(script).read_text(encoding="utf-8") if script else ""
    scripts = f"script-src {_hash(source)}; " if script else ""
    return environment.get_template(template).render(
        policy=f"default-src 'none'; style-src {_hash(style)}; {scripts}base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(source),
        **values,
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
