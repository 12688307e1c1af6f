"""What one sees while the demonstration runs: a live table on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jurisdictions import Directory
from kuayu.demo.book import Book
from kuayu.demo.readings import Readings
from kuayu.demo.region import Region

_LINE_SECONDS: Final = 10.0
_RATE_SECONDS: Final = 10.0
_ROWS: Final = {
    "handed_in": "收件 handed in",
    "collected": "已取证 collected",
    "refused": "不予许可 refused",
    "not_accepted": "不予受理 not accepted",
    "withdrawn": "撤回 withdrawn",
    "open": "在办 open",
    "parked": "搁置 parked",
    "open_handovers": "在途 in transit",
    "quarantined": "隔离 quarantined",
}
_IN_LINES: Final = (
    "handed_in",
    "collected",
    "refused",
    "not_accepted",
    "withdrawn",
    "open",
    "parked",
    "open_handovers",
)


class Screen:
    """Shows readings as they come; a context manager."""

    def __init__(self, console: Console, region: Region, directory: Directory, book: Book) -> None:
        self._console = console
        self._region = region
        self._directory = directory
        self._book = book
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )
        self._started = time.monotonic()
        self._said = self._started
        self._seen: list[tuple[float, int, int]] = [(self._started, 0, 0)]

    def __enter__(self) -> Self:
        for line in self._where():
            self._console.print(line, soft_wrap=True)
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, readings: Readings) -> None:
        """Show one look at the nodes."""
        now = time.monotonic()
        self._seen.append((now, readings.total("handed_in"), readings.total("collected")))
        self._seen = [seen for seen in self._seen if seen[0] > now - _RATE_SECONDS] or self._seen[-1:]
        if self._live:
            self._live.update(self._picture(readings), refresh=True)
        elif now - self._said >= _LINE_SECONDS:
            self._said = now
            self._console.print(self._line(readings), soft_wrap=True)

    def _where(self) -> list[str]:
        """Where to look: pages, metrics and graphs. Keys are of this run only and of no use elsewhere."""
        lines = []
        for code, node in self._region.nodes.items():
            name = self._directory.jurisdiction(code).name_zh
            lines.append(
                f"{code} {name}  {node.url}/  {node.url}/metrics  登录密钥/login key: {node.keys.login}"
            )
        if self._region.graphs:
            lines.append(f"Prometheus  {self._region.graphs}/graph")
        lines.append(f"Kafka  {self._region.bootstrap}    {self._region.folder}")
        return lines

    def _rates(self) -> tuple[float, float]:
        first, last = self._seen[0], self._seen[-1]
        seconds = max(last[0] - first[0], 0.1)
        return (last[1] - first[1]) / seconds, (last[2] - first[2]) / seconds

    def _line(self, readings: Readings) -> str:
        counts = "  ".join(f"{_ROWS[field].partition(' ')[2]} {readings.total(field)}" for field in _IN_LINES)
        return f"{time.monotonic() - self._started:4.0f} s  {counts}  late {self._late()}"

    def _late(self, code: str = "") -> int:
        """Overdue tasks, of one node or of all."""
        return sum(late for (node, _), late in self._book.late.items() if code in {"", node})

    def _picture(self, readings: Readings) -> RenderableType:
        table = Table(box=SIMPLE_HEAD)
        table.add_column("")
        for code in readings.tallies:
            table.add_column(f"{code}\n{self._directory.jurisdiction(code).name_zh}", justify="right")
        table.add_column("合计\ntotal", justify="right", style="bold")
        for field, name in _ROWS.items():
            numbers = [str(getattr(tally, field)) for tally in readings.tallies.values()]
            table.add_row(name, *numbers, str(readings.total(field)))
        table.add_row("超期 late", *(str(self._late(code)) for code in readings.tallies), str(self._late()))
        handed_in, collected = self._rates()
        rates = f"{handed_in:.1f} 件/s 收件 handed in   {collected:.1f} 件/s 取证 collected   "
        rates += f"{time.monotonic() - self._started:.0f} s   Ctrl-C 结束 to end"
        return Group(table, *latencies(readings), Text(rates, style="bold"))


def latencies(readings: Readings) -> list[Text]:
    """Hand-over latencies, a line for each receiving stage."""
    return [
        Text(
            f"→ {stage:<10}  {hop.events:>7} 次 events   p50 {hop.p50 * 1000:.0f} ms   p99 {hop.p99 * 1000:.0f} ms"
        )
        for stage, hop in sorted(readings.hops.items())
    ]
