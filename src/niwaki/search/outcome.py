"""What a search leaves in its folder: chosen/, front.csv, result.json."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from niwaki.deploy.export import export_all
from niwaki.deploy.forms import ExportOptions
from niwaki.deploy.verify import VerifyOptions, verify_folder
from niwaki.device.text import counted
from niwaki.errors import Setting, StageFailed, Wording
from niwaki.folders import sweep
from niwaki.search.answer import Figures, binding
from niwaki.search.judging import int8_of, judged_of, with_test
from niwaki.search.limits import TRAINED
from niwaki.search.remarks import Remark
from niwaki.search.state import Search
from niwaki.search.tried import Tried, fitting, front
from niwaki.study.store import CHOSEN, FORMS, Store
from niwaki.study.structure import one_thread
from niwaki.toolchain.targets import find_target, how_to_get
from niwaki.training.settings import QuantizeSettings

RESULT, FRONT, REPORT = "result.json", "front.csv", "report.html"
_COLUMNS = ("constants", "ram", "macs", "flash", "stack", "instructions")


@dataclass(frozen=True)
class Answer:
    """The best network that keeps to the limits, the next best, and the front of what was tried."""

    folder: Path
    fit: str
    chosen: Figures
    runner_up: Figures | None
    front: tuple[dict[str, object], ...]
    binding: tuple[Remark, ...]
    verified: bool
    seconds: float
    tried: int
    trained: int
    """Stages that this call trained; 0 if everything was known."""
    notes: tuple[Remark, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """As JSON: accuracies in percent, sizes in bytes."""
        return {
            "fit": self.fit,
            "chosen": self.chosen.to_dict(),
            "runner_up": self.runner_up.to_dict() if self.runner_up else None,
            "front": list(self.front),
            "binding": list(self.binding),
            "verified": self.verified,
            "seconds": round(self.seconds, 1),
            "tried": self.tried,
            "trained": self.trained,
            "notes": list(self.notes),
            "folder": str(self.folder),
        }


def forget(store: Store) -> None:
    """Remove the answer of an earlier run."""
    for name in (CHOSEN, RESULT, FRONT, REPORT):
        (store.folder / name).unlink(missing_ok=True)
    shutil.rmtree(store.folder / FORMS, ignore_errors=True)


def answer(search: Search, started: float) -> Answer:
    """Choose among all that is known, and write the answer. Raises StageFailed (exit code 1) if nothing fits."""
    forget(search.store)
    judged = judged_of(search)
    if not judged:
        raise StageFailed(_nothing(search))
    chosen = with_test(search, judged[0])
    runner_up = with_test(search, judged[1]) if len(judged) > 1 else None
    search.notify("exporting the chosen network and verifying its forms")
    verified = _export(search, chosen)
    rung = search.space.search.rungs[-1]
    points = front(search.known, "constants", rung)
    found = Answer(
        search.store.folder, search.limits.text, chosen, runner_up, tuple(_row(one, rung) for one in points),
        tuple(binding(search.limits, chosen, points, rung)), verified, time.monotonic() - started,
        len(search.known), search.running.ran, tuple(_notes(search, chosen)),
    )  # fmt: skip
    search.store.write(FRONT, front_csv(search.known, points, chosen.tried).encode())
    search.store.write(RESULT, (json.dumps(found.to_dict(), indent=1, ensure_ascii=False) + "\n").encode())
    sweep(search.store.folder)
    return found


def _export(search: Search, chosen: Figures) -> bool:
    """Write the forms of the chosen network and verify that they agree; returns whether they do."""
    record = search.store.checked(chosen.score.float_key)
    if record is None:
        raise StageFailed(f"stage {chosen.score.float_key} is not in {search.store.folder}: run the search again")
    search.store.write(CHOSEN, search.store.weights(record.key, record))
    few = {layer: bits for layer, bits in chosen.tried.shape.bits.items() if bits != 8}
    settings = QuantizeSettings.model_validate({"kind": "qat" if few else "static", "layer_bits": few})
    folder, data, trust = search.store.folder / FORMS, search.subject.data, search.wanted.trust
    ram_limit = search.limits.ram if chosen.footprint.stripes else None
    options = ExportOptions(settings=settings, trust=trust, ram_limit=ram_limit)
    with one_thread():
        export_all(
            search.store.folder / CHOSEN, folder, data=data, options=options,
            int8=int8_of(search, chosen.score.key), notify=search.notify,
        )  # fmt: skip
        report = verify_folder(folder, data=data, options=VerifyOptions(trust=trust), notify=search.notify)
    for line in report.disagreements:
        search.notify(line)
    return report.ok


def _nothing(search: Search) -> str:
    known = [one for one in search.known if one.scores]
    if not known:
        why = next((f": {one.shape.id}: {one.reason}" for one in search.known if one.reason), "")
        return f"no candidate has a result{why}" if len(search.known) else _unlucky(search)
    costs = [limit.quantity for limit in search.limits.budgets if limit.quantity not in TRAINED]
    cheap = fitting(known, search.limits, search.whole, words=costs)
    if cheap:
        best = max(cheap, key=lambda one: one.validation)
        drop = f", a drop of {search.whole - best.validation:.2f}" if search.whole is not None else ""
        return (
            f"nothing found that fits {search.limits.text}: the best of {len(cheap)} candidates within the costs "
            f"reaches {best.validation:.2f} % on validation{drop}{_fastest(search, cheap)}"
        )
    words = [limit for limit in search.limits.budgets if any(limit.quantity in one.figures for one in known)]
    least = [f"{limit.quantity} of at least {min(one.figures.get(limit.quantity, float('inf')) for one in known):,.0f}"
             for limit in words]  # fmt: skip
    return Wording(
        f"nothing known fits {search.limits.text}: what was tried has {', '.join(least)}; search further with ",
        Setting("trials"),
    )


def _fastest(search: Search, tried: Sequence[Tried]) -> str:
    times = [search.latency[one.shape.id] for one in tried if one.shape.id in search.latency]
    return f"; the fastest takes {min(times):,.1f} µs on this machine" if times else ""


def _unlucky(search: Search) -> str:
    return Wording(
        f"nothing fits {search.limits.text}: the smallest candidate would, but not with the bits that were proposed; "
        "search further with ",
        Setting("trials"),
        ", or allow fewer bits in ",
        Setting("space"),
    )


def _notes(search: Search, chosen: Figures) -> list[Remark]:
    said = []
    test = chosen.test
    if test is not None:
        gap = f"{chosen.validation.accuracy - test.accuracy:+.2f}"
        better = chosen.validation.accuracy > test.accuracy
        why = ": the best of many looks better than it is" if better else ""
        key = "search.gap.up" if better else "search.gap"
        said.append(Remark(key, f"validation minus test: {gap} points{why}", gap=gap))
    if chosen.estimated:
        target, names = search.wanted.target, ", ".join(chosen.estimated)
        text = f"estimated for {target}, with a margin: {names}; {how_to_get(find_target(target))} measures them"
        said.append(Remark("search.estimated", text, target=target, names=names, how=how_to_get(find_target(target))))
    if chosen.footprint.stripes:
        layers = "; ".join(text.partition(":")[0] for text in chosen.footprint.stripes)
        said.append(Remark("search.stripes", f"by stripes of rows, to keep to the RAM: {layers}", layers=layers))
    if chosen.latency is not None:
        time = f"{chosen.latency:,.1f}"
        text = f"{time} µs for an image in C on this machine; on another one, another network may be chosen"
        said.append(Remark("search.latency", text, time=time))
    if chosen.score.epochs < search.epochs:
        epochs = chosen.score.epochs
        said.append(
            Remark(
                "search.short",
                f"the chosen network was trained for {counted(epochs, 'epoch')} only: a search for this budget would "
                f"train its finalists for {search.epochs}; say how far: ",
                Setting("trials"), " or ", Setting("time"), epochs=epochs, final=search.epochs,
            )
        )  # fmt: skip
    elif search.running.ran == 0:
        batch, most = search.space.search.batch, search.space.search.batch * search.space.search.rungs[-1]
        final = search.space.search.further(search.epochs)
        said.append(
            Remark(
                "search.known",
                f"answered from what is known; searching further costs at most {most} epochs for every {batch} "
                f"trials, and {final} for each seed of a finalist",
                most=most, batch=batch, final=final,
            )
        )  # fmt: skip
    return said + search.answers


def front_csv(known: Iterable[Tried], points: Sequence[Tried], chosen: Tried) -> str:
    """Every candidate with a score: what it costs, how good it is, and whether it is on the front."""
    tried = [one for one in known if one.scores]
    layers = list(dict.fromkeys(name for one in tried for name in one.shape.widths))
    weighted = list(dict.fromkeys(name for one in tried for name in one.shape.bits))
    head = ("id", "validation", "epochs", "seeds", *_COLUMNS, "front", "chosen", "args",
            *(f"width {name}" for name in layers), *(f"bits {name}" for name in weighted))  # fmt: skip
    rows = []
    for one in sorted(tried, key=lambda one: (one.figures["constants"], one.shape.id)):
        costs = [f"{one.figures[name]:.0f}" if name in one.figures else "" for name in _COLUMNS]
        flags = ["yes" if one in points else "", "yes" if one is chosen else ""]
        widths = [str(one.shape.widths.get(name, "")) for name in layers]
        bits = [str(one.shape.bits.get(name, "")) for name in weighted]
        args = json.dumps(one.args, sort_keys=True)
        rows.append(
            (
                one.shape.id,
                f"{one.validation:.4f}",
                str(one.epochs),
                str(len(one.last)),
                *costs,
                *flags,
                args,
                *widths,
                *bits,
            )
        )
    out = io.StringIO()
    csv.writer(out).writerows([head, *rows])
    return out.getvalue()


def _row(one: Tried, epochs: int) -> dict[str, object]:
    return {
        "id": one.shape.id, "validation": one.at(epochs), "epochs": epochs, "widths": dict(one.shape.widths),
        "bits": dict(one.shape.bits), **{name: round(value) for name, value in one.figures.items()},
    }  # fmt: skip
