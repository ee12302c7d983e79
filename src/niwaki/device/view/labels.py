"""What stays the same while the view runs: names of the classes, languages, the rule of the decision."""

from typing import Any, Dict, Mapping, NamedTuple, Sequence, Tuple

from ..decision import Rule


class Labels(NamedTuple):
    """As in the bundle."""

    classes: Sequence[Mapping[str, Any]]
    """{"id": "Coat", "names": {"en": "coat", "ko": "코트"}}, one per score."""
    languages: Sequence[str] = ("en",)
    """The languages that can be spoken; the first is shown until a frame says which one is used."""
    rule: Rule = Rule()
    title: str = ""
    """Title of the model, shown beside the name of the program."""
    inner: Tuple[int, int] = (28, 28)
    """Width and height of `Snapshot.picture`."""
    channels: int = 1  # of the frames' pixels and of that picture
    finds: bool = True  # whether a garment is searched for, against a scene that can be learned

    def to_json(self) -> Dict[str, Any]:
        """The data that the page requests once."""
        return {
            "title": self.title,
            "classes": [{"id": c["id"], "names": dict(c["names"])} for c in self.classes],
            "languages": list(self.languages),
            "energy": self.rule.energy,
            "temperature": self.rule.temperature,
            "finds": self.finds,
        }
