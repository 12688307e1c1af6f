"""What can go wrong, typed from the node's problem details."""

from kuayu_client._models import FieldError, Problem


class KuayuError(Exception):
    """Everything this package raises."""


class Unreachable(KuayuError):
    """The node did not answer, also when asked again. Whether it did what it was asked is not known: repeat with the key."""


class ProblemError(KuayuError):
    """The node said no.

    Attributes:
        status: the HTTP status.
        code: the stable name of the problem, for programs.
        problem: all that the node said.
    """

    def __init__(self, status: int, problem: Problem) -> None:
        self.status = status
        self.problem = problem
        self.code = problem.type.rpartition(":")[2]
        said = problem.detail or problem.title or f"HTTP {status}"
        super().__init__(f"{self.code}: {said}")

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """Field by field: what is wrong and what would be right."""
        return self.problem.errors


class NotAllowed(ProblemError):
    """The key is missing, unknown, or lacks the role."""


class NotFound(ProblemError):
    """No such case at this node."""


class Refused(ProblemError):
    """What was sent, or the act itself, breaks a rule; sending it again changes nothing."""


class WrongState(ProblemError):
    """The case is not in a state for this act now."""


class VersionConflict(ProblemError):
    """The case has changed since the version that was given."""


class KeyReused(ProblemError):
    """The key was used for something else."""


class HistoryLost(ProblemError):
    """The node's ledger was restored from a backup older than the cursor: go on with `next`.

    What happened since is told again as it is known now; what is told no more did not last.
    """

    @property
    def next(self) -> str:
        """The cursor at the end of what the node still knows."""
        return self.problem.next


class Busy(ProblemError):
    """The node can't take more now, also after asking again."""


_KINDS: dict[int, type[ProblemError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: WrongState,
    410: HistoryLost,
    412: VersionConflict,
    413: Refused,
    422: Refused,
    429: Busy,
    502: Busy,
    503: Busy,
    504: Busy,
}


def problem_error(status: int, problem: Problem) -> ProblemError:
    """The typed error of a problem."""
    if problem.type.endswith(":key_reused"):
        return KeyReused(status, problem)
    return _KINDS.get(status, ProblemError)(status, problem)
