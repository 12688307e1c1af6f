"""What one sees while the demonstration runs: a live table on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jurisdictions import Directory, Stage
from kuayu.demo.book import Book
from kuayu.demo.readings import Readings
from kuayu.demo.region import Region

_LINE_SECONDS: Final = 10.0
_RATE_SECONDS: Final = 10.0
_COLUMNS: Final = (
    ("handed_in", "收件\nhanded in"),
    ("collected", "已取证\ncollected"),
    ("refused", "不予许可\nrefused"),
    ("not_accepted", "不予受理\nnot accepted"),
    ("withdrawn", "撤回\nwithdrawn"),
    ("open", "在办\nopen"),
    ("parked", "搁置\nparked"),
    ("open_handovers", "在途\nin transit"),
    ("quarantined", "隔离\nquarantined"),
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
        counts = "  ".join(
            f"{label.partition(chr(10))[2]} {readings.total(field)}"
            for field, label in _COLUMNS
            if field != "quarantined"
        )
        return f"{time.monotonic() - self._started:4.0f} s  {counts}  late {sum(self._book.late.values())}"

    def _picture(self, readings: Readings) -> RenderableType:
        table = Table(title="跨域 Kuayu", title_justify="left")
        table.add_column("节点\nnode")
        for _, label in _COLUMNS:
            table.add_column(label, justify="right")
        table.add_column("超期\nlate", justify="right")
        for code, tally in readings.tallies.items():
            late = sum(self._book.late.get((code, stage.value), 0) for stage in Stage)
            numbers = [str(getattr(tally, field)) for field, _ in _COLUMNS]
            table.add_row(f"{code} {self._directory.jurisdiction(code).name_zh}", *numbers, str(late))
        table.add_section()
        totals = [str(readings.total(field)) for field, _ in _COLUMNS]
        table.add_row("合计 total", *totals, str(sum(self._book.late.values())), style="bold")
        handed_in, collected = self._rates()
        rates = f"{handed_in:.1f} 件/s 收件 handed in   {collected:.1f} 件/s 取证 collected   "
        rates += f"{time.monotonic() - self._started:.0f} s   Ctrl-C 结束 to end"
        return Group(
            table, *latencies(readings), *(Text(line) for line in self._where()), Text(rates, style="bold")
        )


def latencies(readings: Readings) -> list[Text]:
    """Hand-over latencies, a line for each receiving stage."""
    return [
        Text(
            f"→ {stage:<10}  {hop.events:>7} 次 events   p50 {hop.p50 * 1000:.0f} ms   p99 {hop.p99 * 1000:.0f} ms"
        )
        for stage, hop in sorted(readings.hops.items())
    ]
