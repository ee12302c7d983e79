"""The search from beginning to end: plan → batches → finalists, trained in full → the answer in the folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from niwaki.device.text import counted
from niwaki.errors import NiwakiError, StageFailed, StoreError
from niwaki.models.factory import look_in
from niwaki.notify import Notify
from niwaki.search.candidates import Costs, Member, check_members, figures, infeasible
from niwaki.search.exploring import Exploring
from niwaki.search.fitting import Fitter
from niwaki.search.judging import time_candidates
from niwaki.search.latency import check_latency, macs_within
from niwaki.search.limits import TRAINED
from niwaki.search.measured import OnTarget, check_target
from niwaki.search.outcome import Answer, answer, forget
from niwaki.search.paths import Paths
from niwaki.search.request import TRIALS, Wanted
from niwaki.search.running import Running
from niwaki.search.sampling import Asking
from niwaki.search.space import Space
from niwaki.search.state import Search
from niwaki.search.subject import Subject, open_subject
from niwaki.search.timing import final_epochs, plan_for
from niwaki.search.tried import Known, SearchNote, Tried, fitting, from_note
from niwaki.study import environment
from niwaki.study.listener import Listener
from niwaki.study.own_training import trained_by
from niwaki.study.plan import Known as Identity
from niwaki.study.plan import Settings
from niwaki.study.run import RunOptions
from niwaki.study.stages import TEST
from niwaki.study.store import Store
from niwaki.study.workers.processes import check_guard

_TOLERATED = 0.1  # of a time that was asked for, without a word


def compress(
    wanted: Wanted, space: Space, listener: Listener, *, report: Callable[[Answer], object], device: str = "cpu",
    paths: tuple[str, ...] = (),
) -> Answer:  # fmt: skip
    """Search, or resume a search, and write the answer into the folder.

    Without `trials` and `time`, a folder that holds a search already is asked only: what it knows answers another
    budget. Raises NiwakiError for bad input; StageFailed, whose exit code is 1, if nothing fits: before training, if
    the smallest candidate does not. On KeyboardInterrupt the best so far is written, and the error passed on. `report`
    writes the page of an answer.
    """
    started = time.monotonic()
    check_guard()
    wanted.check(space)
    look_in(paths)
    trainer = trained_by(space.trainer, trust=wanted.trust) if space.trainer else None
    target = check_target(wanted.target, wanted.limits, wanted.minimized)
    if wanted.limits.of(("latency",)):
        check_latency(device)
    subject = open_subject(wanted.model, wanted.data, space.data, trust=wanted.trust, notify=listener.message)
    store = Store(wanted.folder)
    with store.driver():
        search = _opened(wanted, space, subject, store, target, (listener, device, paths, trainer))
        try:
            if _asks_for_more(search):
                _search(search, started)
            search.running.close()
        except KeyboardInterrupt:
            search.running.drop()
            _answer_so_far(search, started, report)
            raise
        except BaseException:
            search.running.drop()
            raise
        found = answer(search, started)
        report(found)
        return found


def _opened(
    wanted: Wanted, space: Space, subject: Subject, store: Store, target: str | None,
    how: tuple[Listener, str, tuple[str, ...], Settings | None],
) -> Search:  # fmt: skip
    listener, device, paths, trainer = how
    facts = {**environment.fingerprint(device), TEST: "kept back"}
    identity = Identity(subject.data.fingerprint, facts)
    options = RunOptions(wanted.folder, None, wanted.jobs, wanted.ray, device, wanted.trust, paths)
    running = Running(subject, store, facts, options, listener)
    search = Search(
        wanted, space, subject, store, running, Paths(subject, space, identity, trainer), Costs([], wanted.limits.ram),
        wanted.limits, wanted.minimized, target, listener.message,
    )  # fmt: skip
    before = store.load(SearchNote)
    if before is not None:
        _check_same(before, subject, store)
        search.known = Known(map(from_note, before.tried))
        for one in search.known:
            one.within(search.limits.ram)
        search.whole = before.whole
        search.plan = dict(before.plan) if isinstance(before.plan, Mapping) else {}
    return search


def _check_same(before: SearchNote, subject: Subject, store: Store) -> None:
    """Raise StoreError if the folder holds the search of another network or of other data."""
    if before.data.fingerprint != subject.data.fingerprint:
        raise StoreError(f"{store.folder}: this search is on other data ({before.data.origin}): use another folder")
    if (before.factory, before.weights) != (subject.model.factory, subject.weights_sha256):
        raise StoreError(f"{store.folder}: this search is of another network ({before.subject}): use another folder")


def _asks_for_more(search: Search) -> bool:
    asked = search.wanted.trials is not None or search.wanted.time is not None
    return asked or not any(one.scores for one in search.known)


def make_members(subject: Subject, space: Space, notify: Notify, *, trust: bool) -> list[Member]:
    """The networks of the family with their blueprints.

    Raises SpecError for an empty space, ModelError for a network that cannot be pruned or written as C.
    """
    members = []
    combinations = space.members()
    for number, args in enumerate(combinations):
        said = ", ".join(f"{name} = {value}" for name, value in args.items())
        notify(f"working out what {subject.name}{f' with {said}' if said else ''} costs for any widths and bits")
        blueprint = subject.blueprint(args, trust=trust)
        spec = subject.with_args(args) if args else subject.model
        members.append(Member(number, spec, blueprint, space.bits_of(blueprint), space.widths_of(blueprint)))
    check_members(members)
    return members


def _search(search: Search, started: float) -> None:
    wanted = search.wanted
    search.costs.members[:] = make_members(search.subject, search.space, search.notify, trust=wanted.trust)
    if why := infeasible(search.costs, search.limits):
        forget(search.store)
        raise StageFailed(f"nothing fits: {why}")
    fitter = make_fitter(search)
    if why := _too_large_on_target(search, fitter):
        forget(search.store)
        raise StageFailed(f"nothing fits: {why}")
    _allow_latency(search, fitter)
    exploring = Exploring(
        search.paths, search.running, search.costs, search.space, fitter, search.explored, search.notify, search.save,
        minimized=search.minimized, answers=search.answers,
    )  # fmt: skip
    trials = _planned(search, exploring, started)
    search.save()
    exploring.explore(_asking(search), trials)
    if search.limits.of(("accuracy_drop",)):
        _measure_whole(search, exploring)
    _finals(search, exploring, started)


def _asking(search: Search) -> Asking:
    return Asking(search.costs.members, search.space.search.seed, search.wanted.sampler)


def make_fitter(search: Search) -> Fitter:
    """What turns proposals into candidates within the limits."""
    on_target = None
    if search.target is not None:
        with_instructions = "instructions" in (search.minimized, *(limit.quantity for limit in search.limits.budgets))
        on_target = OnTarget(search.target, search.costs, with_instructions)
    largest = [figures(search.costs.of(member.largest)) for member in search.costs.members]
    reference = {}
    if search.minimized is not None:
        stands_for = {"flash": "constants", "instructions": "macs"}.get(search.minimized, search.minimized)
        reference = {stands_for: max(found[stands_for] for found in largest)}
    return Fitter(search.costs, search.limits, on_target, reference)


def _too_large_on_target(search: Search, fitter: Fitter) -> str | None:
    """Why not even the smallest candidate fits on the target; None if one does, or if nothing is measured there."""
    if fitter.on_target is None:
        return None
    found = [fitter.on_target.all_of(member.smallest) for member in search.costs.members]
    for limit in search.limits.budgets:
        known = [figure[limit.quantity] for figure in found if limit.quantity in figure]
        if known and not limit.allows(min(known)):
            best = min(found, key=lambda figure: figure[limit.quantity])
            code = f" ({best['code']:,.0f} of them code)" if limit.quantity == "flash" else ""
            return f"{limit.text}: the smallest candidate needs {min(known):,.0f}{code} on {search.target}"
    return None


def _allow_latency(search: Search, fitter: Fitter) -> None:
    """MACs stand for a limit on latency before training, as this machine does them; a repeated search keeps them."""
    for limit in search.limits.of(("latency",)):
        kept = search.plan.get("latency") == limit.text
        allowed = int(search.plan["latency_macs"]) if kept else macs_within(search.costs, limit)
        search.plan |= {"latency": limit.text, "latency_macs": allowed}
        fitter.standing["macs"] = float(allowed)
        search.notify(f"{limit.text} is about {allowed:,} MACs on this machine; what is trained in full is timed")


def _planned(search: Search, exploring: Exploring, started: float) -> int:
    """How many candidates are tried: as asked, or as many as the time allows, by what the first of them take."""
    kept = {name: value for name, value in search.plan.items() if name.startswith("latency")}
    if search.wanted.seconds is None:
        trials = search.wanted.trials or TRIALS
        search.plan = {**kept, "trials": trials, "final_epochs": search.space.search.final_epochs}
        return trials
    asked = {"time": f"{search.wanted.seconds:g} s", "of": search.question}
    if asked.items() <= search.plan.items():
        exploring.late = bool(search.plan["late_questions"])
        return int(search.plan["trials"])
    found = plan_for(
        exploring, _asking(search), search.wanted.seconds - (time.monotonic() - started), search.wanted.seeds
    )
    search.plan = {
        **kept, **asked, "trials": found.trials, "final_epochs": found.final_epochs, "finalists": found.finalists,
        "late_questions": int(found.late),
    }  # fmt: skip
    search.notify(
        f"{search.wanted.time}: {found.trials} candidates, about {counted(found.final_epochs, 'epoch')} for each of "
        f"{counted(found.finalists, 'finalist')}, "
        f"by what the first took: {found.said}"
    )
    exploring.late = found.late
    if not found.late:
        search.notify("whether to mirror images, or not to move them, would take too much of it to find out: not asked")
    if found.over > _TOLERATED * search.wanted.seconds:
        search.notify(f"a search takes at least {(search.wanted.seconds + found.over) / 60:.0f} minutes, and will here")
    return found.trials


def _measure_whole(search: Search, exploring: Exploring) -> None:
    """The accuracy of the whole network, from which a drop counts."""
    path = search.paths.whole(search.costs.members[0], search.epochs, exploring.way)
    search.notify("measuring the whole network, from which the drop counts")
    search.running.run([path])
    found = search.running.record(path.end).results
    search.whole = found.validation.accuracy if found else None


def _finals(search: Search, exploring: Exploring, started: float) -> None:
    """Train the best candidates in full with every seed; more of them until one keeps to the limits on accuracy."""
    last = search.space.search.rungs[-1]
    able = [one for one in search.explored if one.at(last) is not None]
    order = _order(search, _within(search, able, 1.0), last)
    seeds = range(search.wanted.seeds)
    count = search.finalists
    for begin in range(0, len(order), count) if search.limits.of(TRAINED) else (0,):
        finalists = order[begin : begin + count]
        if begin == 0 and search.minimized is None:
            finalists += _smaller(search, able, last, finalists)
        _settle(search, exploring, finalists, started)
        names = ", ".join(f"{one.shape.id} ({counted(search.epochs_of(one), 'epoch')})" for one in finalists)
        search.notify(f"finalists, with {counted(len(seeds), 'seed')} each: {names}")
        exploring.evaluate(finalists, search.epochs_of, seeds)
        if search.limits.of(("latency",)):
            time_candidates(search, finalists)
        if fitting(finalists, search.limits, search.whole, latency=search.latency):
            return


def _settle(search: Search, exploring: Exploring, finalists: Sequence[Tried], started: float) -> None:
    """Give finalists the epochs that the rest of the time allows; once, so that a resumed search is the same one.

    If an accuracy drop counts, the whole network was trained with the epochs that were planned: they stay.
    """
    if search.wanted.seconds is None or "settled" in search.plan:
        return
    if not search.limits.of(("accuracy_drop",)):
        left = search.wanted.seconds - (time.monotonic() - started)
        if found := final_epochs(exploring, finalists, left, search.wanted.seeds):
            search.plan |= {f"epochs of {name}": epochs for name, epochs in found.items()}
            search.plan["final_epochs"] = min(found.values())
    search.plan["settled"] = "before the finalists"
    search.save()


def _within(search: Search, tried: Sequence[Tried], share: float) -> list[Tried]:
    """Those that keep to a share of every limit on cost."""
    costs = [(limit.quantity, limit.limit) for limit in search.limits.budgets if limit.quantity not in TRAINED]
    if search.limits.of(("latency",)):
        costs.append(("macs", float(search.plan["latency_macs"])))
    return [one for one in tried if all(one.figures[quantity] <= share * limit for quantity, limit in costs)]


def _smaller(search: Search, able: Sequence[Tried], last: int, finalists: Sequence[Tried]) -> list[Tried]:
    """The best candidate within each smaller share of the budget: it answers such a budget."""
    found: list[Tried] = []
    for share in search.space.search.smaller:
        within = _order(search, _within(search, able, share), last)
        found += [one for one in within[:1] if one not in finalists and one not in found]
    return found


def _order(search: Search, able: list[Tried], last: int) -> list[Tried]:
    """Who is trained in full first: the most accurate; or the least costly that may become accurate enough."""
    if search.minimized is None:
        return sorted(able, key=lambda one: (-(one.at(last) or 0.0), one.shape.id))
    cost = search.minimized
    accurate = [limit for limit in search.limits.of(TRAINED) if limit.quantity != "latency"]
    hopeful = [one for one in able if all(_nearly(one, search, limit.quantity, limit.limit) for limit in accurate)]
    rest = [one for one in able if one not in hopeful]
    return [
        *sorted(hopeful, key=lambda one: (one.figures[cost], one.shape.id)),
        *sorted(rest, key=lambda one: (-(one.at(last) or 0.0), one.shape.id)),
    ]


def _nearly(tried: Tried, search: Search, quantity: str, limit: float) -> bool:
    """Whether full training may bring a candidate to a limit on accuracy: it is a point away at most."""
    found = tried.accuracies(search.whole).get(quantity)
    if found is None:
        return False
    return found <= limit + 1.0 if quantity == "accuracy_drop" else found >= limit - 1.0


def _answer_so_far(search: Search, started: float, report: Callable[[Answer], object]) -> None:
    try:
        search.save()
        report(answer(search, started))
    except NiwakiError as error:
        search.notify(f"nothing to keep yet: {error}")
