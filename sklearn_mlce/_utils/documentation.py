"""Link of an estimator's HTML representation to its page of the documentation."""

from __future__ import annotations

import os

# The address of the documentation: of the site of a company, or of pages that `make docs` built.
_ADDRESS = "SKLEARN_MLCE_DOCS"


class DocumentationLinkMixin:
    """Let the "?" of the HTML representation lead to the page of the class.

    The environment variable ``SKLEARN_MLCE_DOCS`` is the address of the documentation, such as
    ``https://docs.example.org/sklearn-mlce`` or the ``file://`` address of a folder. Without it
    there is no link.
    """

    _doc_link_module = "sklearn_mlce"

    @property
    def _doc_link_template(self) -> str:
        address = os.environ.get(_ADDRESS, "").rstrip("/")
        if not address:
            return ""
        # A brace in the address is no field of the template.
        address = address.replace("{", "{{").replace("}", "}}")
        return address + "/generated/{estimator_module}.{estimator_name}.html"
