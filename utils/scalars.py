"""Curves for TensorBoard, where the `tensorboard` package is installed; where it is not, nothing is written or said."""

from pathlib import Path


class Scalars:
    """Writes scalars as TensorBoard's event files into a folder, or nowhere.

    Event files only ever grow, so unlike all other files they may end with a record that is cut short; TensorBoard
    reads up to there. An epoch that is trained again after a kill is there twice, with the same values.
    """

    PATTERN = "events.out.tfevents.*"

    def __init__(self, folder: Path | None):
        self.folder = folder
        self._writer = None

    def add(self, title: str, step: int, values: dict[str, float]) -> None:
        """One point of each curve "title/name"; ", " in the title, as between a task and its training, groups too."""
        if self.folder is None:
            return
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self.folder = None
                return
            self._writer = SummaryWriter(str(self.folder))
        for name, value in values.items():
            self._writer.add_scalar(f"{title.replace(', ', '/')}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
