"""What gets a name by itself."""

from __future__ import annotations

import time
import uuid

from orchestrator_memory.names import new_uid


def test_uids_are_of_version_7_and_in_the_order_in_which_they_were_given() -> None:
    before = time.time_ns() // 1_000_000
    given = [new_uid() for _ in range(5000)]
    after = time.time_ns() // 1_000_000
    read = [uuid.UUID(one) for one in given]
    assert {(one.version, one.variant) for one in read} == {(7, uuid.RFC_4122)}
    assert given == sorted(set(given))
    assert before <= read[0].int >> 80 <= read[-1].int >> 80 <= after + 1
