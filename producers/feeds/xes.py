"""XES (IEEE 1849-2016), one trace after the other: only one is ever in memory.

A trace's own attributes come as columns with `case:` before their names, as tools write them in CSV, so that one
mapping serves both forms of a log.
"""

from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from producers.feeds.files import Feed, FeedError
from producers.feeds.rows import Row

TRACE_PREFIX: Final = "case:"
MAX_TRACE: Final = 100_000
"""Events of one trace: a case with more is a log without cases."""
MAX_DEPTH: Final = 100
"""Elements within one another; a log has about five, and lists in attributes a few more."""
MAX_ATTRIBUTES: Final = 1_000
"""Attributes of one trace: each of its events carries them."""
_VALUES: Final = frozenset({"string", "date", "int", "float", "boolean", "id"})


class _Traces:
    """Takes what the parser finds; holds the rows of the traces that have ended, until they are fetched."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._path: list[str] = []
        self._trace: dict[str, str] = {}
        self._events: list[Row] = []
        self._done: list[Row] = []
        self.expat: Any = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        parent = self._path[-1] if self._path else ""
        if not self._path and name != "log":
            raise self._feed.error("is no XES", "an XML document that begins with <log>", line=self._line())
        if name == "trace":
            self._trace, self._events = {}, []
        elif name == "event" and parent == "trace":
            if len(self._events) == MAX_TRACE:
                raise self._feed.error(
                    "the trace is too long", f"at most {MAX_TRACE} events", line=self._line()
                )
            self._events.append(Row(self._line(), {}))
        elif name in _VALUES and parent in {"trace", "event"}:
            self._keep(parent, attributes)
        if len(self._path) == MAX_DEPTH:
            raise self._feed.error("is nested too deeply", f"at most {MAX_DEPTH} elements", line=self._line())
        self._path.append(name)

    def end(self, _tag: str) -> None:
        if self._path.pop() == "trace":
            self._done += [Row(line, self._trace | values) for line, values in self._events]

    def data(self, _text: str) -> None:
        """XES keeps nothing in texts."""

    def close(self) -> None:
        """Asked for by the parser at the end."""

    def take(self) -> list[Row]:
        done, self._done = self._done, []
        return done

    def _keep(self, parent: str, attributes: dict[str, str]) -> None:
        try:
            key, value = attributes["key"], attributes["value"]
        except KeyError as missing:
            raise self._feed.error(
                f"an attribute of the {parent} has no {missing.args[0]}", "key and value", line=self._line()
            ) from None
        if parent == "trace":
            self._trace[TRACE_PREFIX + key] = value
            if len(self._trace) > MAX_ATTRIBUTES:
                raise self._feed.error(
                    "the trace has too many attributes", f"at most {MAX_ATTRIBUTES}", line=self._line()
                )
        elif self._events:
            self._events[-1].values[key] = value

    def _line(self) -> int:
        return int(self.expat.CurrentLineNumber)


def read_xes(feed: Feed) -> Iterator[Row]:
    """The events of all traces, in their order.

    Raises:
        FeedError: not well-formed, not XES, or with a document type or entities, which no log needs.
    """
    traces = _Traces(feed)
    parser = DefusedXMLParser(target=traces, forbid_dtd=True)
    traces.expat = parser.parser
    try:
        for chunk in feed.chunks():
            parser.feed(chunk)
            yield from traces.take()
        parser.close()
    except FeedError:
        raise
    except ParseError as error:
        line, column = error.position
        raise feed.error(
            f"the XML is broken at character {column + 1}", "a well-formed XES document", line=line
        ) from None
    except DefusedXmlException:
        raise feed.error(
            "has a document type or entities", "XES without them", line=traces.expat.CurrentLineNumber
        ) from None
    except (LookupError, ValueError):  # what Python's expat says to an encoding it lacks
        raise feed.error("the encoding can't be read", "XML in UTF-8", line=1) from None
    yield from traces.take()
