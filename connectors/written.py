"""What the configuration writes back to a vendor: which value of ours goes into which property. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.base import PropertySpec
from connectors.values import as_text, same_number
from leadbridge.config.fields import WriteBackTarget
from leadbridge.config.schema import Config, known_values
from leadbridge.types import BuyerJourney, LifecycleStage, Value


@dataclass(frozen=True, slots=True)
class Target:
    """One value of ours and the property it fills."""

    ours: str  # "score.fit"
    name: str  # "leadbridge_fit_score"
    kind: str  # "number" | "text" | "choice" | "date"
    options: tuple[str, ...] = ()

    def spec(self) -> PropertySpec:
        words = self.ours.replace(".", " ").replace("_", " ")
        return PropertySpec(
            self.name, f"Leadbridge {words}", self.kind, f"Written by leadbridge: {words}.", self.options
        )


def targets(config: Config, of: Callable[[WriteBackTarget], str | None]) -> dict[str, Target]:
    """The targets at one vendor, by our name; `of` reads that vendor's property from the configuration."""
    kinds = known_values(config)
    found = {}
    for ours, target in config.write_back.items():
        name = of(target)
        if name is None:
            continue
        options = _options(config, ours)
        kind = kinds.get(ours, "text")
        found[ours] = Target(ours, name, "text" if kind == "choice" and not options else kind, options)
    return found


def _options(config: Config, ours: str) -> tuple[str, ...]:
    value, _, score = ours.partition(".")
    match value:
        case "grade":
            model = config.scores.get(score or next(iter(config.scores)))
            return tuple(model.grades) if model else ()
        case "matrix":
            model = config.scores.get(score or next(iter(config.scores)))
            return tuple(f"{letter}{figure}" for letter in model.grades for figure in model.figures) if model else ()
        case "persona":
            return () if score else tuple(config.personas)
        case "stage":
            return tuple(stage.value for stage in LifecycleStage)
        case "buyer_journey":
            return tuple(phase.value for phase in BuyerJourney)
    return ()


def difference(target: Target, value: Value, current: Mapping[str, str], cut: Callable[[str], str]) -> str | None:
    """The text to write so that the property shows `value`; None when it already does or when it must not be written.

    Numbers compare as numbers after our rounding, texts without regard to line ends and to spaces around them, because
    vendors trim (reliability G15). A value that is not a number never reaches a number property.
    """
    wanted = as_text(value, target.kind)
    if wanted is None:
        return None
    if target.kind == "text":
        wanted = cut(wanted)
    held = current.get(target.name) or ""
    if held == wanted or _plain(held) == _plain(wanted):
        return None
    if target.kind == "number" and same_number(held, wanted):
        return None
    return wanted


def _plain(text: str) -> str:
    if "\n" not in text:
        return text.strip()
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n"))
