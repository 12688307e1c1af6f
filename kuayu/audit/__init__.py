"""The independent checker: reads ledgers and topics directly and proves that nothing is lost, doubled or out of order.

It shares with the bus the tables' columns, the encoding of rows, the hash functions and the schema codec; what it finds
out it finds out by itself. Only what stands beside the log is compared with the bus's own rebuild.
"""

from kuayu.audit._agreement import disagreement
from kuayu.audit._audit import AuditError, audit
from kuayu.audit._findings import Kind, Problem, Report
from kuayu.audit._topics import TopicsError

__all__ = ["AuditError", "Kind", "Problem", "Report", "TopicsError", "audit", "disagreement"]
