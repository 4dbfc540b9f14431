"""What the tests of figures share."""

from contextlib import contextmanager

import pytest

from utils.results import plotting


@pytest.fixture
def drawn(monkeypatch):
    """The figures drawn in a test by their names, as matplotlib has them; no picture is written."""
    found = {}
    picture = plotting.picture

    @contextmanager
    def noted(path, *arguments, **more):
        with picture(path, *arguments, **more) as figure:
            yield figure
            found[path.name] = figure

    monkeypatch.setattr(plotting, "picture", noted)
    monkeypatch.setattr(plotting, "_save", lambda figure, path, formats: None)
    return found


@pytest.fixture
def texts():
    """Reads all words in a figure, each text on one line."""

    def read(figure):
        from matplotlib.text import Text

        return [" ".join(text.get_text().split()) for text in figure.findobj(Text) if text.get_text()]

    return read
