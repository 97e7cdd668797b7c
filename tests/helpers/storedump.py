"""What a store says, without what may differ between two honest runs (ids of rows, instants of work)."""

from typing import Any

import sqlalchemy as sa


def dump(url: str) -> dict[str, Any]:
    """People by address, with all that was decided about them; what waits; how far each source was read."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as tx:
            return {
                "people": _rows(
                    tx,
                    """select p.email_canonical, p.opted_out, p.attributes, s.name, s.value, s.grade, s.model, t.stage,
                              t.buyer_journey, t.reasons
                       from persons p left join scores s on s.person_id = p.id left join standings t
                         on t.person_id = p.id order by 1, 4""",
                ),
                "keys": _rows(tx, "select key from person_keys order by 1"),
                "activities": _rows(
                    tx,
                    """select a.source, a.source_id, a.kind, a.at, p.email_canonical from activities a
                       left join persons p on p.id = a.person_id order by 1, 2""",
                ),
                "records": _rows(tx, "select vendor, record_id, written, gone_at from records order by 1, 2"),
                "ledger": _rows(
                    tx,
                    """select p.email_canonical, e.journey, e.entry, e.state from enrolments e
                       join persons p on p.id = e.person_id order by 1, 2, 3""",
                ),
                "kept out": _rows(
                    tx,
                    """select p.email_canonical, h.journey from holdouts h join persons p on p.id = h.person_id
                       order by 1, 2""",
                ),
                "suppressed": _rows(
                    tx,
                    """select p.email_canonical, s.reason from suppressed_people s join persons p
                       on p.id = s.person_id order by 1, 2""",
                ),
                "waiting": _rows(tx, "select vendor, record_id, wanted from write_backs order by 1, 2"),
                "quarantine": _rows(tx, "select source, reason from quarantine order by 1, 2"),
                "due": _rows(tx, "select count(*) from due"),
            }
    finally:
        engine.dispose()


def _rows(tx: sa.Connection, query: str) -> list[list[Any]]:
    return [list(row) for row in tx.execute(sa.text(query))]
