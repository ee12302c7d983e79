"""A user's program: it is never run, but type checkers must accept it."""

from __future__ import annotations

import niwaki
from niwaki.callbacks import CSVLogger, EpochEnd


class Print:
    def on_epoch(self, event: EpochEnd) -> None:
        print(f"{event.name}: {event.epoch}/{event.epochs}, loss {event.loss:.3f}")


def main() -> float:
    data = niwaki.load_data("fashion-mnist", limit=1000)
    model = niwaki.LeNet5(widths=(2, 6, 48, 33))
    _ = niwaki.train(model, data, 5, callbacks=[Print(), CSVLogger("run.csv")], lr=1e-3)
    reports = niwaki.prune(model, data, ratio=0.5, steps=2, finetune={"epochs": 1})
    kept: dict[str, int] = reports[-1].widths
    accuracy: float = niwaki.evaluate(model, data, "validation").accuracy
    cost = niwaki.count(model, data.input_shape)
    path = niwaki.save(model, "small.safetensors", factory="lenet5", data=data)
    exported = niwaki.export(path, "small", to=["onnx-int8", "c"])
    verified: bool = exported.ok and niwaki.verify("small", images=100).ok
    study = niwaki.open_study("studies/source")
    best = study.best
    losses = [epoch.loss for trial in study.trials for epoch in study.history(trial)]
    print(kept, cost.params, verified, niwaki.__version__, losses)
    return accuracy if best is None else best.test_accuracy
