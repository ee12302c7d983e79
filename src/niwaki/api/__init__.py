"""niwaki's functions for Python: each command of the command line has a function of the same name.

May import: callbacks, arguments, search_report, reporting, search, study, board, firmware, deploy, compiled, training,
measure, models, data, randomness, notify, errors.
"""

from niwaki.api.boards import bundle, doctor, watch
from niwaki.api.compressing import compress
from niwaki.api.costs import cost
from niwaki.api.data import dataset, load_data
from niwaki.api.forms import bench, export, inspect, load_c, quantize, verify
from niwaki.api.importing import import_model
from niwaki.api.steps import count, evaluate, load, prune, read_info, save, sensitivity, train
from niwaki.api.studies import copy_study, new_study, open_study, report, run_study

__all__ = [
    "bench", "bundle", "compress", "copy_study", "cost", "count", "dataset", "doctor", "evaluate", "export",
    "import_model", "inspect", "load", "load_c", "load_data", "new_study", "open_study", "prune", "quantize",
    "read_info", "report", "run_study", "save", "sensitivity", "train", "verify", "watch",
]  # fmt: skip
