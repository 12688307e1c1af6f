"""What operators see of a node: metrics, health, tallies, rules and dashboards. It shows, and never decides."""

from monitoring.collector import TaskCount, TaskCounts
from monitoring.metrics import HttpMetrics, Metrics
from monitoring.routes import router
from monitoring.server import PrometheusServer, write_config
from monitoring.summary import Tally, tally

__all__ = [
    "HttpMetrics",
    "Metrics",
    "PrometheusServer",
    "Tally",
    "TaskCount",
    "TaskCounts",
    "router",
    "tally",
    "write_config",
]
