"""A search with its folder open, and the file that says what it knows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from niwaki.device.text import counted
from niwaki.files import sha256_of
from niwaki.notify import Notify
from niwaki.search.candidates import Costs
from niwaki.search.limits import Limits
from niwaki.search.paths import Paths
from niwaki.search.remarks import Remark
from niwaki.search.request import Wanted
from niwaki.search.running import Running
from niwaki.search.space import Space
from niwaki.search.subject import Subject
from niwaki.search.tried import Known, SearchNote, Tried, from_note
from niwaki.study.result_files import DataFacts, Images
from niwaki.study.store import Store


@dataclass
class Search:
    """A search with its folder open: what it is of, what it may try, what is known."""

    wanted: Wanted
    space: Space
    subject: Subject
    store: Store
    running: Running
    paths: Paths
    costs: Costs
    limits: Limits
    minimized: str | None
    target: str | None
    notify: Notify
    known: Known = field(default_factory=Known)
    """Everything that is known, from earlier searches in this folder too."""
    explored: Known = field(default_factory=Known)
    """What this search tried."""
    plan: dict[str, int | str] = field(default_factory=dict)
    whole: float | None = None
    answers: list[Remark] = field(default_factory=list)
    latency: dict[str, float] = field(default_factory=dict)
    """Microseconds on this machine, by candidate: no record has them."""

    @property
    def question(self) -> str:
        """What is asked, in a line. A plan holds for one question: another one may cost more."""
        space = json.dumps(self.space.model_dump(mode="json"), sort_keys=True)
        goal = f"least {self.minimized}" if self.minimized else "most accuracy"
        return (
            f"{self.limits.text}; {goal}; {counted(self.wanted.seeds, 'seed')}; {self.wanted.sampler}; "
            f"space {sha256_of(space.encode())[:12]}"
        )

    @property
    def epochs(self) -> int:
        """The least epochs of finalists."""
        return int(self.plan.get("final_epochs", self.space.search.final_epochs))

    def epochs_of(self, tried: Tried) -> int:
        """The epochs of a finalist."""
        return int(self.plan.get(f"epochs of {tried.shape.id}", self.epochs))

    @property
    def finalists(self) -> int:
        """How many candidates are trained in full, besides those for less of the budget."""
        return int(self.plan.get("finalists", self.space.search.finalists))

    def save(self) -> None:
        """Write `search.json`: what is known by now."""
        merged = Known([from_note(one.note()) for one in self.known])
        for one in self.explored:
            found = merged.add(one)
            for score in one.scores:
                merged.scored(found, score)
        self.known = merged
        data = self.subject.data
        self.store.save(
            SearchNote(
                subject=self.subject.name, factory=self.subject.model.factory, args=self.subject.model.args,
                weights=self.subject.weights_sha256,
                data=DataFacts(
                    name=data.name, origin=data.origin, fingerprint=data.fingerprint, synthetic=data.synthetic,
                    labels=list(data.labels), input_shape=data.input_shape,
                    images=Images(train=len(data.train), validation=len(data.validation), test=len(data.test)),
                ),
                space=self.space.model_dump(mode="json"), plan=self.plan, whole=self.whole,
                tried=tuple(one.note() for one in self.known),
            )
        )  # fmt: skip
