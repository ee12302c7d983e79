"""Callbacks that follow a run: epochs, stages, its end. A protocol, and ready-made callbacks.

May import: errors.
"""

from niwaki.callbacks.csvlog import CSVLogger
from niwaki.callbacks.events import Callback, Done, EpochEnd, StageEnd
from niwaki.callbacks.progress import ProgressBar
from niwaki.callbacks.trackers import MLflow, TensorBoard, WandB

__all__ = ["CSVLogger", "Callback", "Done", "EpochEnd", "MLflow", "ProgressBar", "StageEnd", "TensorBoard", "WandB"]
