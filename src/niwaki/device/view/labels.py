"""What does not change while the view is up: names of the classes, languages, the rule of the decision."""

from typing import Any, Dict, Mapping, NamedTuple, Sequence, Tuple

from ..decision import Rule


class Labels(NamedTuple):
    """As the bundle has them."""

    classes: Sequence[Mapping[str, Any]]
    """{"id": "Coat", "names": {"en": "coat", "ko": "코트"}}, one per score."""
    languages: Sequence[str] = ("en",)
    """That can be spoken; the first is shown until a frame says which is."""
    rule: Rule = Rule()
    title: str = ""
    """Of the model, shown beside the name of the program."""
    inner: Tuple[int, int] = (28, 28)
    """Width and height of `Snapshot.picture`."""

    def to_json(self) -> Dict[str, Any]:
        """What the page asks for once."""
        return {
            "title": self.title,
            "classes": [{"id": c["id"], "names": dict(c["names"])} for c in self.classes],
            "languages": list(self.languages),
            "energy": self.rule.energy,
            "temperature": self.rule.temperature,
        }
