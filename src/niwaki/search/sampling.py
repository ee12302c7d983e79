"""Which candidates are tried next: Optuna's samplers, asked in batches and told in the order of the trials."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from niwaki.search.candidates import Member, Proposal
from niwaki.search.space import Values

LEAST_SHARE = 0.1
_STARTUP = 8  # trials before the sampler models anything
Sampler = Literal["tpe", "random"]


@dataclass(frozen=True)
class Asked:
    """A trial of the sampler and what it proposes."""

    trial: Any
    proposal: Proposal


class Asking:
    """A sampler over all members: the same trials and values always give the same next proposals.

    `tpe` is Optuna's Tree-structured Parzen Estimator (Bergstra et al., 2011), over all dimensions together, with
    running trials taken for bad ones; its first proposals are plain: the network's own proportions with each
    number of bits. `random` is the control.
    """

    def __init__(self, members: Sequence[Member], seed: int, sampler: Sampler = "tpe") -> None:
        import optuna  # slow to import

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._members = members
        if sampler == "tpe":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                made: Any = optuna.samplers.TPESampler(
                    seed=seed, n_startup_trials=_STARTUP, multivariate=True, group=True, constant_liar=True
                )
        else:
            made = optuna.samplers.RandomSampler(seed=seed)
        self._study = optuna.create_study(sampler=made, direction="maximize")
        if sampler == "tpe":
            for member in members:
                self._plain(member)

    def ask(self) -> Asked:
        """The next proposal."""
        trial = self._study.ask()
        number = 0
        if len(self._members) > 1:
            number = int(trial.suggest_categorical("member", list(range(len(self._members)))))
        member = self._members[number]
        bits = {
            layer: int(trial.suggest_categorical(f"{number}.bits.{layer}", list(choice)))
            if len(choice) > 1
            else choice[0]
            for layer, choice in member.bits.items()
        }
        shares = {
            group.name: float(trial.suggest_float(f"{number}.share.{group.name}", LEAST_SHARE, 1.0, log=True))
            for group in member.blueprint.groups
        }
        return Asked(trial, Proposal(number, bits, shares))

    def tell(self, asked: Asked, value: float | None) -> None:
        """The accuracy of a proposal; None if it could not be tried."""
        import optuna

        if value is None:
            self._study.tell(asked.trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(asked.trial, value)

    def _plain(self, member: Member) -> None:
        """Ask first for the member's own proportions, with 4 bits, 8 bits, and the fewest."""
        for most in (4, 8, 2):
            choices = {
                layer: [bits for bits in choice if bits <= most] or [choice[-1]]
                for layer, choice in member.bits.items()
            }
            first: Values = {} if len(self._members) == 1 else {"member": member.number}
            first |= {
                f"{member.number}.bits.{layer}": (member.bits[layer][0] if layer == list(choices)[-1] else choice[0])
                for layer, choice in choices.items()
                if len(member.bits[layer]) > 1
            }
            first |= {f"{member.number}.share.{group.name}": 1.0 for group in member.blueprint.groups}
            self._study.enqueue_trial(first, skip_if_exists=True)
