"""What only the whole file can say. Each check looks at the tree, so that it speaks even when other parts are wrong."""

from collections.abc import Callable, Collection, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import islice, pairwise

from leadbridge.config.bind import number
from leadbridge.config.document import Node
from leadbridge.config.facts import IS, RESERVED, Facts
from leadbridge.config.faults import Faults
from leadbridge.config.nurture import same_start
from leadbridge.config.reachable import hidden_stages, idle_until, unreachable
from leadbridge.config.schema import values
from leadbridge.config.wording import did_you_mean, listed, nearest, shown
from leadbridge.types import LifecycleStage, way_name

Found = Iterator[tuple[Node, str] | tuple[Node, str, str]]
"""Where, what is wrong, and the hint."""

OWN = frozenset(
    """
    email firstname lastname phone mobilephone website company jobtitle industry annualrevenue numemployees seniority
    city state country zip address message hubspot_owner_id hubspotscore createdate lastmodifieddate
    EMAIL FNAME LNAME ADDRESS PHONE BIRTHDAY COMPANY
    """.split()  # noqa: SIM905 - thirty quoted words read worse
)
"""What vendors keep about a person under these names (hubspot.md 8.2, 8.3): a score written there would destroy it."""

VENDORS = {"hubspot": "HubSpot", "salesforce": "Salesforce", "mailchimp": "Mailchimp"}

MOST_TESTS = 2000
"""Of one segment, with the segments it names written out: more is an accident, and grows without bound."""

MOST_CIRCLES = 10
"""Told at once; with more, what follows from segments is not checked."""


def check(tree: Node, facts: Facts, faults: Faults) -> None:
    """Add every fault that concerns several sections."""
    for look in CHECKS:
        for node, problem, *hint in look(tree, facts):
            faults.add(node.line, node.path, problem, *hint)


def _queue(tree: Node, _facts: Facts) -> Found:
    queue, store = tree.at("queue"), tree.written("store") or "sqlite"
    if queue and store.startswith("sqlite"):
        yield queue, "is for many processes, which need a store they can share; set store: postgresql://…"


def _fields(tree: Node, _facts: Facts) -> Found:
    for name, node in tree.below("fields").items():
        if name in RESERVED:
            yield node, f"is a word of leadbridge's own; call the field something else than {listed(RESERVED)}"
        if (trait := node.at("intake")) is not None and tree.at("intake") is None:
            yield trait, "is read from intake, which is not set up; add intake: {write_key: …}"


def _behaviour(tree: Node, _facts: Facts) -> Found:
    fields = tree.below("fields")
    for name, node in tree.below("behaviour").items():
        if name in fields:
            yield node, f"is the name of a field (line {fields[name].line}) too; call one of them something else"
        elif name in RESERVED or name in values({"": ()}, asks=True):
            yield node, "is a word of leadbridge's own; call it something else"


def _questions(tree: Node, facts: Facts) -> Found:
    for question in tree.below("questions").values():
        for key, kinds in (("field", ()), ("source", ()), ("dated", ("date", "datetime"))):
            yield from _fact(question.text_at(key), facts, kinds, ", where a date is needed")


def _company(tree: Node, facts: Facts) -> Found:
    yield from _fact(tree.text_at("company", "by"), facts)
    for name, node in tree.below("company", "scores").items():
        if not facts.scores_unsure:
            yield from _among(node, name, facts.scores, "is no score")


def _personas(tree: Node, _facts: Facts) -> Found:
    for persona in tree.below("personas").values():
        yield from _twice(persona.each("traits"), "name", "is the name of another trait of this persona")


def _scores(tree: Node, facts: Facts) -> Found:
    scores = tree.below("scores")
    for name, score in scores.items():
        categories = score.below("categories")
        if name == next(iter(scores)):
            for category, node in categories.items():
                if category in scores:
                    yield node, f"has the name of a score, so that score.{category} would mean two things; rename one"
        yield from _twice(score.each("rules"), "name", "is the name of another rule of this score")
        for rule in score.each("rules"):
            given = rule.text_at("category")
            if given and categories and given.text not in categories:
                problem = f"{shown(given.text)} is no category of this score; allowed: {listed(categories)}"
                yield given, problem, did_you_mean(given.text, categories)
            if rule.at("activity") is None:  # then `each` is a number of the person
                numbers = ("number", "integer")
                yield from _fact(rule.text_at("each"), facts, numbers, "; points are multiplied by a number only")
        yield from _grades(score)
    yield from _score_circles(scores)


def _score_circles(scores: dict[str, Node]) -> Found:
    """A score may look at other scores, which are worked out before it."""
    looks_at: dict[str, list[str]] = {}
    for name, score in scores.items():
        asked = [condition for place in (score, *score.each("rules"))
                 for key in ("applies_to", "when", "pause_while") if (condition := place.at(key))]  # fmt: skip
        seen = [fact for condition in asked for fact, _ in _tests(condition)]
        seen += [each for rule in score.each("rules") if rule.at("activity") is None and (each := rule.written("each"))]
        words = [fact.split(".") for fact in seen]
        looks_at[name] = [
            word[1]
            for word in words
            if word[0] in ("score", "grade", "matrix", "company")
            and len(word) > 1
            and word[1] in scores
            and word[1] != name
        ]
    for circle in islice(_circles(looks_at), MOST_CIRCLES):
        yield scores[circle[0]], f"goes round in a circle: {' → '.join(circle)}; each of these scores needs the next"


def _grades(score: Node) -> Found:
    start = score.written("grade_from") or "fit"
    top = number(score.written("categories", start, "max") or ("100" if score.at("categories", start) else ""))
    seen: dict[float, str] = {}
    lowest: tuple[float, str] | None = None
    for letter, node in score.below("grades").items():
        points = number(node.text) if node.kind == "text" else None
        if points is None:
            continue
        if points in seen:
            yield node, f"begins at {node.text}, as {seen[points]} does; give each letter a number of its own"
        elif top is not None and points > top:
            yield node, f"begins at {node.text}, which {start} cannot reach: its max is {top:g}"
        elif lowest is not None and points > lowest[0]:
            above = f"{lowest[1]}, which stands before it, at {lowest[0]:g}"
            yield node, f"begins at {node.text}, but {above}; the best letter comes first, with the most points"
        seen.setdefault(points, letter)
        lowest = min(lowest or (points, letter), (points, letter))


def _stages(tree: Node, _facts: Facts) -> Found:
    known = {stage.value: stage.rank for stage in LifecycleStage}
    stages = [(name, node) for name, node in tree.below("stages").items() if name in known]
    for (above, _), (below, node) in pairwise(stages):
        if known[below] > known[above]:
            yield node, f"stands below {above}, which is tried first and hides it: write it above {above}"
    for name, node in stages:
        if name in (LifecycleStage.OPPORTUNITY, LifecycleStage.CUSTOMER):
            yield node, "comes from the CRM (deals say it), so that no rule can give it; remove it here"


def _segments(tree: Node, _facts: Facts) -> Found:
    """Segments stand for their conditions wherever they are named (nurture.segments): no circles, no explosions."""
    segments = tree.below("segments")
    named = {name: [other for other in _named(node) if other in segments] for name, node in segments.items()}
    for circle in islice(_circles(named), MOST_CIRCLES):
        way = " → ".join(circle if len(circle) < 12 else [*circle[:10], "…", circle[0]])
        yield segments[circle[0]], f"goes round in a circle: {way}; a segment cannot be part of itself"
    if next(_circles(named), None):
        return
    tests: dict[str, int] = {}
    looks_at: dict[str, set[str]] = {}
    for name in TopologicalSorter(named).static_order():
        own = [fact for fact, _ in _tests(segments[name]) if fact != "segment"]
        tests[name] = len(own) + sum(tests[other] for other in named[name])
        looks_at[name] = set(own).union(*(looks_at[other] for other in named[name]))
        if tests[name] > MOST_TESTS:
            yield segments[name], f"stands for more than {MOST_TESTS} tests, with the segments it names written out"
            tests[name] = 0
    later = {"stages": ("stage", "buyer_journey"), "buyer_journey": ("buyer_journey",)}
    for part, hidden in later.items():
        for node in tree.below(part).values():
            for condition in (node.at("when"), node.at("until")) if part == "stages" else (node,):
                for name in _named(condition) if condition else ():
                    for fact in looks_at.get(name, set()).intersection(hidden):
                        yield node, f"names segment {name}, which looks at {fact}; that is worked out only afterwards"


def _circles(named: dict[str, list[str]]) -> Iterator[list[str]]:
    """Circles of names, each cut open in `named` once it is told."""
    while True:
        try:
            TopologicalSorter(named).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            yield circle
            named[circle[0]] = [other for other in named[circle[0]] if other != circle[1]]
        else:
            return


def _named(condition: Node) -> Iterator[str]:
    """Segments that a condition names."""
    for fact, test in _tests(condition):
        if fact == "segment":
            yield from _values(test)


def _tests(condition: Node) -> Iterator[tuple[str, Node]]:
    """(field, its test) for every test below."""
    for key, node in condition.entries.items():
        if key in ("all", "any"):
            for part in node.items:
                yield from _tests(part)
        elif key == "not":
            yield from _tests(node)
        else:
            yield key, node


def _values(test: Node) -> Iterator[str]:
    """Texts that a test on a segment names."""
    given = (test, test.at("equals"), test.at("in"))
    for node in (below for one in given if one for below in (one, *one.items)):
        if node.kind == "text" and node.text:
            yield node.text


def _connections(tree: Node, _facts: Facts) -> Found:
    known = tree.at("connections")
    if known is None or known.kind == "broken":
        return
    # A name almost right has its own fault already; what follows from it is not told a dozen times.
    connected = {*known.entries, *(nearest(name, VENDORS) for name in known.entries)}
    for part, verb in (("fields", "is read from"), ("write_back", "is written to")):
        for node in tree.below(part).values():
            for vendor, title in VENDORS.items():
                place = node.at(vendor)
                if place and vendor not in connected and (part, vendor) != ("fields", "mailchimp"):
                    yield place, f"{verb} {title}, which is not under connections; add connections.{vendor}"
    plugins = known.at("plugins")
    nodes = [*tree.below("fields").values(), *tree.below("write_back").values(), *_ways(tree)]
    for node in nodes:
        named = node.at("plugins")
        for name, place in named.entries.items() if named else ():
            if plugins is None or name not in plugins.entries:
                yield place, f"is no plugin under connections; add connections.plugins.{name}"
    journeys = tree.at("nurture", "journeys")
    by_mailchimp = any(way.at("mailchimp") for way in _ways(tree))
    if journeys and by_mailchimp and "mailchimp" not in connected and tree.written("nurture", "enabled") != "false":
        yield journeys, "need Mailchimp, which is not under connections; add connections.mailchimp"
    secret = tree.at("connections", "hubspot", "webhook_secret")
    if secret and not tree.at("web", "public_url"):
        yield secret, "needs web.public_url: HubSpot signs the address it calls, so leadbridge has to know it"


def _write_back(tree: Node, facts: Facts) -> Found:
    wanted = tree.below("write_back")
    for name, node in wanted.items():
        if not facts.scores_unsure:
            yield from _among(node, name, facts.values, "is no value of leadbridge's")
        value, _, score = name.partition(".")
        score = score or next(iter(facts.scores), "")
        if value == "matrix" and score in facts.scores and tree.at("scores", score, "matrix") is None:
            yield node, f"needs scores.{score}.matrix, which says where figures begin; add it"
        if (tags := node.at("tags")) and name != "segments":
            yield tags, "are borne by whoever is in a segment; write them under write_back.segments"
        told = node.text_at("fallback")
        if told and facts.values.get(name) == "number" and number(told.text) is None:
            yield told, f"is no number, and {name} is one; write a number such as 0"
    read = {
        (vendor, part.strip().rpartition(".")[2].casefold() if vendor == "salesforce" else part): name
        for name, node in tree.below("fields").items()
        for vendor in ("hubspot", "salesforce")
        for part in (node.written(vendor) or "").split("|")
    }
    for vendor in VENDORS:
        places = [place for node in wanted.values() if (place := node.text_at(vendor))]
        yield from _twice_over(places, "already takes another value of ours; give each value a place of its own")
        for place in places:
            key = (vendor, place.text.casefold() if vendor == "salesforce" else place.text)
            if key in read:
                # Our own value coming back as an input would drive the score in circles (reliability G17).
                yield place, f"is read as the field {read[key]} too; a score must not feed on itself"
            elif place.text == "lifecyclestage" and place.path[1] != "stage":
                yield place, "is HubSpot's own stage, which only our stage may be written to"
            elif place.text in OWN or place.text.startswith("hs_"):
                yield place, "holds data of the vendor's own, which would be overwritten; choose a property of your own"


def _segment_tags(tree: Node, _facts: Facts) -> Found:
    """Tags that say who is in a segment: of segments that there are, and of nothing that starts or ends a journey."""
    shown = tree.at("write_back", "segments", "tags")
    segments = tree.below("segments")
    places = shown.entries if shown and shown.kind == "table" else {}
    flows = {
        place.text.casefold()
        for way in _ways(tree)
        for key in ("tag", "exit_tag")
        if (place := way.text_at("mailchimp", key))
    }
    for name, place in places.items():
        if name not in segments:
            yield from _among(place, name, segments, "is the tag of no segment")
        elif ";" in name:
            yield place, "is the tag of a segment with a ; in its name, which parts names; call the segment otherwise"
        elif place.kind == "text" and place.text.casefold() in flows:
            yield place, "starts or ends a journey, which only the gate may do; take another tag"
    yield from _twice_over(
        [place for place in places.values() if place.kind == "text"], "is another segment's tag too", str.casefold
    )
    if places and tree.at("connections", "mailchimp") is None:
        yield shown or tree, "need Mailchimp, which is not under connections; add connections.mailchimp"


def _fields_named(tree: Node, _facts: Facts) -> Found:
    """Keys whose value is the name of a field."""
    fields = tree.below("fields")
    places = [tree.text_at("consent", key) for key in ("at", "source_field", "wording_field")]
    places += [tree.text_at("guards", "quiet_hours", key) for key in ("timezone", "country")]
    for place in places:
        if place and place.text:
            yield from _among(place, place.text, fields, "is not a field")


def _offers(tree: Node, _facts: Facts) -> Found:
    """Journeys offer what the catalogue has, and assets are for personas that there are."""
    assets, personas = tree.below("catalogue"), tree.below("personas")
    for journey in tree.each("nurture", "journeys"):
        for place in journey.each("offers"):
            if place.kind == "text":
                yield from _among(place, place.text, assets, "is not in the catalogue")
    for asset in assets.values():
        for place in asset.each("personas"):
            if place.kind == "text":
                yield from _among(place, place.text, personas, "is no persona")


def _journeys(tree: Node, _facts: Facts) -> Found:
    journeys = tree.each("nurture", "journeys")
    yield from _twice(journeys, "name", "is the name of another journey")
    named = [journey.written("name") for journey in journeys]
    for journey in journeys:
        variants = journey.each("variants")
        yield from _twice(variants, "name", "is the name of another variant of the journey")
        for calls in [found for variant in variants if (found := variant.text_at("name"))]:
            if way_name(journey.written("name") or "", calls.text) in named:
                yield calls, "makes the name of another journey, with the journey's own before it; call it otherwise"
    starts = [begin for way in _ways(tree) if (begin := way.at("mailchimp")) and begin.kind == "table"]
    same = "starts the same journey in Mailchimp as another one here, so that people could get it twice"
    yield from _twice(starts, "tag", same)
    yield from _twice(starts, "merge_field", same)
    yield from _twice(starts, "trigger", same, same_start)
    begins = {place.text.strip().casefold(): place for start in starts if (place := start.at("tag")) and place.text}
    for place in [found for start in starts if (found := start.at("exit_tag")) and found.kind == "text"]:
        other = begins.get(place.text.strip().casefold())
        if other is not None and other.path[:-1] != place.path[:-1]:
            yield (
                place,
                f"is the tag that starts another journey (line {other.line}), so that who leaves this one would be put "
                "into that one past the gate; take another tag",
            )
    filled = {place.text for node in tree.below("write_back").values() if (place := node.at("mailchimp"))}
    for place in [found for start in starts if (found := start.text_at("merge_field"))]:
        if place.text.partition("=")[0] in filled:
            yield (
                place,
                "is a merge field that write_back fills, which would start and restart the journey; take another",
            )


def _ways(tree: Node) -> list[Node]:
    """Where the file says how a journey is started: in the journey, and in each of its variants."""
    journeys = tree.each("nurture", "journeys")
    return [*journeys, *(variant for journey in journeys for variant in journey.each("variants"))]


def _handing_over(tree: Node, facts: Facts) -> Found:
    given = tree.at("hand_off")
    if given is None:
        return
    stage = given.written("on") or LifecycleStage.SQL.value
    known = {one.value for one in LifecycleStage}
    if stage in known and stage not in tree.below("stages"):
        yield given.at("on") or given, f"waits for stage {stage}, which no rule under stages gives; add it there"
    for place in _named_in_hand_off(given):
        if place.text not in facts.attributes:
            hint = did_you_mean(place.text, facts.attributes)
            yield place, f"{shown(place.text)} is not a field; map it under fields first", hint
    yield from _twice(given.each("routes"), "name", "is the name of another route")
    yield from _twice(given.each("care"), "name", "is the name of another kind of care")
    for care in given.each("care"):
        if care.written("name") == "hand_off":
            yield care.at("name") or care, "is leadbridge's own word; call it something else"


def _named_in_hand_off(given: Node) -> Iterator[Node]:
    """Places of the hand-off where a field of ours is named."""
    places = [given.text_at("task", "owner"), given.text_at("rejected", "reason"), given.text_at("lost", "reason")]
    places += [care.text_at("task", "owner") for care in given.each("care")]
    yield from (place for place in places if place is not None)


def _costs(tree: Node, _facts: Facts) -> Found:
    journeys = [name for journey in tree.each("nurture", "journeys") if (name := journey.written("name"))]
    for cost in tree.each("measurement", "costs"):
        place = cost.text_at("journey")
        if place:
            yield from _among(place, place.text, journeys, f"{shown(place.text)} is no journey")


def _fact(place: Node | None, facts: Facts, kinds: Collection[str] = (), but: str = "") -> Found:
    """The fact of a person that this text names: is there one, and of one of these kinds (none: of any)?"""
    if place is None or not place.text:
        return
    fact = facts.look_up(place.path, place.text)
    if fact.problem:
        yield place, f"{shown(place.text)} {fact.problem}", fact.hint()
    elif kinds and fact.kind is not None and fact.kind not in kinds:
        yield place, f"{shown(place.text)} is {IS[fact.kind]}{but}"


def _among(place: Node, name: str, known: Collection[str], problem: str) -> Found:
    if name not in known:
        yield place, f"{problem}; there is: {listed(known) or 'none'}", did_you_mean(name, known)


def _twice(nodes: Iterable[Node], key: str, problem: str, same: Callable[[str], str] = str) -> Found:
    places = [place for node in nodes if (place := node.text_at(key)) and place.text]
    yield from _twice_over(places, problem, same)


def _twice_over(places: Iterable[Node], problem: str, same: Callable[[str], str] = str) -> Found:
    seen: dict[str, Node] = {}
    for place in places:
        word = same(place.text.strip().casefold())
        if word in seen:
            yield place, f"{problem} (line {seen[word].line})"
        seen.setdefault(word, place)


CHECKS: tuple[Callable[[Node, Facts], Found], ...] = (
    _queue,
    _fields,
    _behaviour,
    _questions,
    _company,
    _personas,
    _scores,
    unreachable,
    hidden_stages,
    idle_until,
    _stages,
    _segments,
    _connections,
    _write_back,
    _segment_tags,
    _fields_named,
    _offers,
    _journeys,
    _handing_over,
    _costs,
)
