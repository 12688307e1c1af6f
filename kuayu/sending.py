"""`kuayu send`: the applications of a file, handed in over the API of the accepting node."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgspec
from kuayu_client import Client, KuayuError, Submission

from producers.feeds.cases_file import read_cases
from producers.feeds.files import FeedError

AT_ONCE = 200
"""Applications in one request."""


class SendError(Exception):
    """Nothing more can be sent; the message says why, and what was sent stays sent."""


def send_file(file: Path, address: str, key: str, say: Callable[[str], None]) -> int:
    """Hand in the applications of a file and say what became of each; returns how many were not taken.

    The keys follow from the file, so sending it again after a failure makes no case twice.

    Raises:
        SendError: the file can't be read, or the node can't be reached or refuses the key.
    """
    taken = failed = 0
    try:
        cases = read_cases(file)
        with Client(address, key=key) as client:
            while part := list(islice(cases, AT_ONCE)):
                submissions = [
                    (case.key, msgspec.convert(msgspec.to_builtins(case.submission), Submission))
                    for case in part
                ]
                for case, result in zip(part, client.submit_many(submissions), strict=True):
                    if result.case is not None:
                        taken += 1
                        say(
                            f"{case.place}: {result.case.case_id} {result.case.case_number} {result.case.status}"
                        )
                    else:
                        failed += 1
                        say(
                            f"{case.place}: {result.status} {result.problem.detail if result.problem else ''}"
                        )
    except (FeedError, OSError, KuayuError, msgspec.ValidationError) as error:
        raise SendError(f"{error} ({taken} were taken before that)") from error
    say(f"{taken} taken, {failed} not taken")
    return failed
