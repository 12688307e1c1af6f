"""What a case is: pure, total decisions of the three stages, and what they come to.

`decide` answers every message in every state and runs once; `evolve` folds the stored facts. Nothing here knows a
clock, a database or a network. The modules `commands` and `facts` hold what goes in and what comes out.
"""

from cases import commands, facts
from cases._acceptance_state import AcceptanceState
from cases._pickup_state import PickupState
from cases._review_state import ReviewState
from cases._stage import DEEMED_ACCEPTANCE, Attention, Stage
from cases.acceptance import AcceptanceStage
from cases.collection_code import MAX_WRONG_CODES, CollectionCode, hash_code, new_collection_code
from cases.decision import Decision, Message, Outcome, Outgoing, View
from cases.journey import Step, journey
from cases.phases import ENDS, HANDED_OVER, PHASE_NAMES, Phase
from cases.pickup import PickupStage
from cases.reasons import Refusal
from cases.review import ReviewStage
from cases.submission import submission_answer, submission_refusal
from cases.tasks import TASK_NAMES, Task, TaskKind, masked

__all__ = [
    "DEEMED_ACCEPTANCE",
    "ENDS",
    "HANDED_OVER",
    "MAX_WRONG_CODES",
    "PHASE_NAMES",
    "TASK_NAMES",
    "AcceptanceStage",
    "AcceptanceState",
    "Attention",
    "CollectionCode",
    "Decision",
    "Message",
    "Outcome",
    "Outgoing",
    "Phase",
    "PickupStage",
    "PickupState",
    "Refusal",
    "ReviewStage",
    "ReviewState",
    "Stage",
    "Step",
    "Task",
    "TaskKind",
    "View",
    "commands",
    "facts",
    "hash_code",
    "journey",
    "masked",
    "new_collection_code",
    "submission_answer",
    "submission_refusal",
]
