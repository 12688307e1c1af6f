"""The figures of a run as tables: plain text where the output is no terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

OURS = "跨域 Kuayu"


def show(console: Console, figures: Mapping[str, Any]) -> None:
    """Print the tables."""
    on = figures["machine"]
    console.print(f"{on['cores']} × {on['processor']}, Python {on['python']}", highlight=False)
    drivers = [name for name in figures["flow"] if name in figures["raw"]]
    console.print(_flows(figures, drivers))
    console.print(_peers(figures, drivers))
    console.print(_guarantees(figures))
    console.print(_codec(figures["codec"]))
    console.print(_rest(figures))


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _flows(figures: Mapping[str, Any], drivers: list[str]) -> Table:
    table = _table("三段办件 The flow through three stages", "", *drivers)
    raws = [figures["raw"][driver] for driver in drivers]
    flows = [figures["flow"][driver] for driver in drivers]
    rows = [
        ("驱动写入 raw produce, records/s", [_count(raw["produce_per_s"]) for raw in raws]),
        ("  MB/s · CPU µs/record", [_joined(raw["produce_mb_per_s"], raw["produce_cpu_us"]) for raw in raws]),
        ("驱动读取 raw consume, records/s", [_count(raw["consume_per_s"]) for raw in raws]),
        ("  MB/s · CPU µs/record", [_joined(raw["consume_mb_per_s"], raw["consume_cpu_us"]) for raw in raws]),
        ("三段办件 flow, cases/s", [_count(flow["cases_per_s"]) for flow in flows]),
        (
            "  of records/s the driver alone writes",
            [f"{flow['ratios']['records_to_produced']:.1%}" for flow in flows],
        ),
        ("Python µs/case, three processes", [_count(flow["python_us_per_case"]) for flow in flows]),
        ("all CPU µs/case, broker included", [_count(flow["cpu_us_per_case"]) for flow in flows]),
        ("  broker", [_count(flow["broker_us_per_case"]) for flow in flows]),
        (
            "  CPU of clients ÷ drivers alone",
            [f"{flow['ratios']['cpu_to_driver_cpu']:.1f}" for flow in flows],
        ),
        *_floors(flows),
    ]
    for stage in ("acceptance", "review", "pickup"):
        processes = [flow["processes"][stage] for flow in flows]
        cells = [_joined(process["cpu_us"], process["rss_mb"]) for process in processes]
        rows.append((f"{stage}: CPU µs/case · RSS MB", cells))
    rows.append(("broker: RSS MB", [_count(flow["broker_rss_mb"]) for flow in flows]))
    rows.append(("时延 latency at cases/s", [_count(flow["offered_per_s"]) for flow in flows]))
    for name, key in (
        ("已受理 accepted durably", "answered_ms"),
        ("审核可见 review sees it", "review_ms"),
        ("已取证 collected", "collected_ms"),
        ("已送达 delivered and told back", "latency_ms"),
    ):
        rows.append((f"  {name}, p50 · p99 ms", [_span(flow[key]) for flow in flows]))
    cells = [_joined(flow["ledger_bytes_per_case"], flow["topic_bytes_per_case"]) for flow in flows]
    rows.append(("bytes/case, ledgers · topics", cells))
    for name, shown in rows:
        table.add_row(name, *shown)
    return table


def _floors(flows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    floors = [flow["floor"] for flow in flows]
    return [
        ("只算库 libraries alone, Python µs/case", [_count(floor["total_us"]) for floor in floors]),
        (
            "  driver · codec · hashes",
            [_joined(floor["driver_us"], floor["codec_us"], floor["hashes_us"]) for floor in floors],
        ),
        ("  packing · database", [_joined(floor["packing_us"], floor["database_us"]) for floor in floors]),
        ("  cases/s if there were nothing else", [_count(floor["cases_per_s"]) for floor in floors]),
        ("  Python ÷ libraries alone", [f"{flow['ratios']['python_to_floor']:.1f}" for flow in flows]),
    ]


def _peers(figures: Mapping[str, Any], drivers: list[str]) -> Table:
    """Ours and its peers, the fastest first; those that were not measured last, with the reason."""
    table = _table(
        "同台对比 Beside peers: same events, broker, acks=all, idempotence; peers keep no ledger",
        "",
        "cases/s",
        "ours ÷ it",
        "Python µs/case",
        "all CPU µs/case",
        "p50 · p99 ms at half rate",
    )
    ours = figures["flow"]["confluent"]["cases_per_s"]
    rows = [(f"{OURS} {driver}", figures["flow"][driver]) for driver in drivers]
    measured = [(name, peer) for name, peer in figures["peers"].items() if not peer["error"]]
    for name, each in sorted([*rows, *measured], key=lambda row: -row[1]["cases_per_s"]):
        ratio = ours / each["cases_per_s"]
        faster = "更快 faster than ours  " if ratio < 1 else ""
        table.add_row(
            name,
            _count(each["cases_per_s"]),
            "" if name.startswith(OURS) else f"{faster}{ratio:.2f}",
            _count(each["python_us_per_case"]),
            _count(each["cpu_us_per_case"]),
            _span(each["latency_ms"]),
        )
    for name, peer in figures["peers"].items():
        if peer["error"]:
            table.add_row(name, "未测 not measured")
            table.caption = f"{table.caption or ''}{name}: {peer['error']}\n"
    return table


def _guarantees(figures: Mapping[str, Any]) -> Table:
    rows = [(OURS, figures["flow"]["guarantees"])]
    rows += [(name, peer["guarantees"]) for name, peer in figures["peers"].items()]
    table = Table(title="各自保证 What each guarantees", title_justify="left")
    for column in (
        "",
        "生效 effects",
        "状态 durable state",
        "回执 receipts",
        "校验 validated",
        "时限 deadlines",
    ):
        table.add_column(column)
    for name, guarantees in rows:
        cells = [guarantees[key] or "–" for key in ("effects", "state", "receipts", "validated", "deadlines")]
        table.add_row(name, *cells)
    return table


def _codec(codec: Mapping[str, Any]) -> Table:
    columns = ("bytes", "encode µs", "fastavro", "decode µs", "fastavro")
    table = _table(
        "编解码 The codec, checked models to bytes and back, beside fastavro on plain data", "", *columns
    )
    for name, event in codec["events"].items():
        values = [
            event[key] for key in ("encode_us", "fastavro_encode_us", "decode_us", "fastavro_decode_us")
        ]
        table.add_row(name, _count(event["bytes"]), *(f"{value:.1f}" for value in values))
    times = (f"{codec[f'{way}_to_fastavro']:.2f} ×" for way in ("encode", "decode"))
    table.add_row("快于 faster than fastavro", "", next(times), "", next(times), "")
    return table


def _rest(figures: Mapping[str, Any]) -> Table:
    table = Table(title="其余 The rest", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    intake, scale = figures["intake"], figures["scale"]
    for name, way in (("逐件 one at a time", "single"), ("批量 batches of 500", "batch")):
        table.add_row(f"收件 POST /v1/cases, {name}, cases/s", _count(intake[way]["cases_per_s"]))
        table.add_row("  answer, p50 · p99 ms", _span(intake[way]["answer_ms"]))
    table.add_row("  writer alone, without HTTP, cases/s", _count(intake["writer_cases_per_s"]))
    table.add_row(
        f"十倍办件 time of {10 * scale['cases']:,} cases ÷ of {scale['cases']:,}",
        f"{scale['ten_times_the_cases']:.1f}",
    )
    table.add_row(
        f"全国目录 Python µs/case, {scale['jurisdictions']} jurisdictions ÷ 4", f"{scale['all_to_four']:.2f}"
    )
    for driver, node in figures["node"].items():
        table.add_row(
            f"节点 a node, {driver}, s until ready · of CPU",
            f"{node['start_s']:.2f} · {node['start_cpu_s']:.2f}",
        )
        table.add_row("  idle CPU % · RSS MB", f"{node['idle_cpu_pct']} · {_count(node['rss_mb'])}")
    return table


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _joined(*values: float) -> str:
    return " · ".join(map(_count, values))


def _span(percentiles: Mapping[str, float]) -> str:
    return _joined(percentiles["p50"], percentiles["p99"])
