"""What a user does first, with niwaki as it was installed: run by `make dist`, far from the sources."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import niwaki

CHECKOUT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Train, prune, save, export, verify and bundle a small model; a study of two stages and its report."""
    assert not Path(niwaki.__file__).is_relative_to(CHECKOUT / "src"), "niwaki is imported from the sources"
    data = niwaki.load_data("synthetic", limit=400, validation=60, test_limit=100)
    model = niwaki.LeNet5()
    niwaki.train(model, data, epochs=1)
    niwaki.prune(model, data, ratio=0.5, steps=1, finetune=1)
    niwaki.save(model, "small.safetensors", factory="lenet5", data=data)
    assert niwaki.export("small.safetensors", "small", images=100).ok
    command("verify", "small", "--images", "20")
    command("inspect", "small/model-int8.onnx")
    Path("tiny.toml").write_text(TINY)
    command("study", "run", "tiny.toml", "--jobs", "1")
    command("report", "studies/tiny", "--lang", "ko")
    command("--version", "--verbose")


def command(*arguments: str) -> None:
    """Run niwaki as a user does."""
    subprocess.run([Path(sys.executable).with_name("niwaki"), *arguments], check=True)


TINY = """
[data]
name = "synthetic"
limit = 400
validation = 60
test_limit = 100

[train]
epochs = 1

[select]
experiment = "ratio"
budget = ["accuracy_drop<=100"]

[[experiment]]
name = "ratio"
vary = { "prune.ratio" = [0.5] }
set = { "prune.steps" = 1, "finetune.epochs" = 1 }
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NIWAKI_CACHE_DIR"] = f"{folder}/cache"
        os.chdir(folder)
        main()
    print(f"{sys.argv[1]}: niwaki {importlib.metadata.version('niwaki')} works as installed")
