"""A plotly figure as a picture: kaleido draws it in a browser, and nothing is fetched from a CDN for it."""

import plotly.graph_objects as graph
import pytest

pytestmark = pytest.mark.browser


def test_it_arrives(amber, chromium, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", chromium)
    figure = graph.Figure(graph.Bar(y=[1, 3, 2]), {"width": 400, "height": 300})
    answer = amber.ask("What is it?", images=figure)
    assert "PNG, 400 × 300 pixels" in answer.text
    assert "mostly white" in answer.text
    assert answer._images[0].name == "plotly figure"
