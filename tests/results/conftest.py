"""What the tests of figures share."""

from contextlib import contextmanager

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from utils.results import plotting


@pytest.fixture
def drawn(monkeypatch):
    """The figures drawn in a test by their names, as matplotlib has them; what is written is empty."""
    found = {}
    picture = plotting.picture

    @contextmanager
    def noted(path, *arguments, **more):
        with picture(path, *arguments, **more) as figure:
            yield figure
            found[path.name] = figure

    monkeypatch.setattr(plotting, "picture", noted)
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **more: None)
    return found


def words(figure) -> str:
    """All words in a figure, on one line."""
    return " ".join(word for text in figure.findobj(Text) for word in text.get_text().split())
