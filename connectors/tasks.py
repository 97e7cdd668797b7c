"""Making tasks once each, whatever the vendor: the order of work that its rooms share."""

from collections.abc import Callable, Mapping, Sequence

from connectors.base import Made, Outcome, SalesTask
from connectors.batches import in_batches
from leadbridge.call import masked
from leadbridge.errors import NeedsOperator, RetryLater, Unknown


def make_once(
    tasks: Sequence[SalesTask],
    *,
    fits: Callable[[SalesTask], bool],
    unfit: str,
    earlier: Callable[[Sequence[SalesTask]], Mapping[str, str]],
    send: Callable[[Sequence[SalesTask], dict[str, Made]], None],
    batch: int,
) -> Mapping[str, Made]:
    """See `Crm.create_tasks`. Raises only while nothing was sent; what is unsure after that is UNANSWERED.

    `fits` says whether a task is about a record of the vendor's, `unfit` the words for one that is not; `earlier`
    finds the tasks that are there already, key to the vendor's id; `send` makes a batch and answers for each key.
    """
    wanted = {task.key: task for task in tasks if fits(task)}
    made = {task.key: refused(unfit) for task in tasks if task.key not in wanted}
    made |= {key: Made(Outcome.WRITTEN, one) for key, one in earlier(list(wanted.values())).items()}
    for part in in_batches([task for key, task in wanted.items() if key not in made], batch):
        try:
            send(part, made)
        except Unknown as unknown:  # it may have been done: looked for before it is sent again
            made |= {task.key: Made(Outcome.UNANSWERED, reason=masked(unknown.problem)) for task in part}
        except (NeedsOperator, RetryLater) as error:
            if not made:
                raise
            made |= {key: Made(Outcome.UNANSWERED, reason=masked(error.problem)) for key in wanted.keys() - made}
            break
    return made


def halved(
    tasks: Sequence[SalesTask],
    made: dict[str, Made],
    send: Callable[[Sequence[SalesTask], dict[str, Made]], None],
    alone: Made,
) -> None:
    """A batch refused as a whole: its halves by themselves; `alone` is the answer for a single task."""
    if len(tasks) == 1:
        made[tasks[0].key] = alone
        return
    middle = len(tasks) // 2
    send(tasks[:middle], made)
    send(tasks[middle:], made)


def refused(words: str) -> Made:
    return Made(Outcome.REFUSED, reason=masked(words))
