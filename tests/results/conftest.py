"""What the tests of figures share."""

from contextlib import contextmanager

import pytest

from utils.results import plotting
from utils.running import storage


@pytest.fixture
def drawn(monkeypatch):
    """The figures drawn in a test by their names, as matplotlib has them; no picture is rendered or written."""
    from matplotlib.figure import Figure

    found = {}
    picture = plotting.picture

    @contextmanager
    def noted(path, *arguments, **more):
        with picture(path, *arguments, **more) as figure:
            yield figure
            found[path.name] = figure

    monkeypatch.setattr(plotting, "picture", noted)
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **more: None)
    write = storage.write_bytes
    monkeypatch.setattr(storage, "write_bytes", lambda path, content: content and write(path, content))
    return found


def words(figure) -> list[str]:
    """All words in a figure, each text on one line."""
    from matplotlib.text import Text

    return [" ".join(text.get_text().split()) for text in figure.findobj(Text) if text.get_text()]
