"""What the runner prints: a line per word, and notices; or JSON, one object per event."""

from typing import Any

from . import console
from .bundle import Bundle
from .pipeline import Step
from .sources import Frame
from .text import json_line


class Report:
    """Words go to standard output, notices to standard error; as JSON everything goes to standard output."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def event(self, event: str, notice: str, **facts: Any) -> None:
        """Something other than a word: `notice` for people, `event` and `facts` for programs."""
        if self._as_json:
            self._print_json(event=event, message=notice, **facts)
        else:
            console.notice("niwaki: {}".format(notice))

    def word(self, bundle: Bundle, language: str, frame: Frame, step: Step) -> None:
        """The word that is spoken with this frame."""
        decision = step.decision
        assert decision.speak is not None
        label, word = bundle.classes[decision.speak], bundle.word(decision.speak, language)
        if self._as_json:
            self._print_json(
                event="word", word=word, language=language, **{"class": label.id}, index=decision.speak,
                number=frame.number, time_s=round(frame.time_s, 6), energy=decision.energy,
            )  # fmt: skip
        else:
            console.say(word)

    @staticmethod
    def _print_json(**facts: Any) -> None:
        console.say(json_line(facts))
