"""The "?" of the HTML representation leads to the documentation, where that has an address."""

import pytest
from sklearn.utils import estimator_html_repr

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

WRAPPERS = {
    MultilabelCalibratedClassifierCV: "calibration",
    MultilabelDecisionClassifier: "decisions",
    MultilabelTunedThresholdClassifierCV: "model_selection",
}
PAGES = {
    **{estimator: estimator() for estimator in (MLCEClassifier, MLCEClassifierCV, MLCEMLP)},
    **{wrapper: wrapper(MLCEClassifier()) for wrapper in WRAPPERS},
}


@pytest.mark.parametrize("cls", PAGES)
def test_the_link_is_of_the_page_of_the_class(cls, monkeypatch):
    monkeypatch.setenv("SKLEARN_MLCE_DOCS", "https://docs.example.org/mlce/")
    room = f".{WRAPPERS[cls]}" if cls in WRAPPERS else ""
    page = f"https://docs.example.org/mlce/generated/sklearn_mlce{room}.{cls.__name__}.html"
    assert page in estimator_html_repr(PAGES[cls])


def test_without_an_address_there_is_no_link(monkeypatch):
    monkeypatch.delenv("SKLEARN_MLCE_DOCS", raising=False)
    html = estimator_html_repr(MLCEClassifier())
    assert "Documentation for MLCEClassifier" not in html
    assert "/generated/" not in html


def test_a_brace_in_the_address_is_kept(monkeypatch):
    monkeypatch.setenv("SKLEARN_MLCE_DOCS", "file:///home/{me}/html")
    assert "file:///home/{me}/html/generated/" in estimator_html_repr(MLCEMLP())
