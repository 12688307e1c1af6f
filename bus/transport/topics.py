"""What every driver must decide alike about topics: which are missing, and which are not as they should be."""

from collections.abc import Mapping, Sequence

from bus.transport.base import PermanentError, TopicSpec


def missing(wanted: Sequence[TopicSpec], existing: Mapping[str, int]) -> list[TopicSpec]:
    """Those of the wanted topics that do not exist.

    Raises:
        PermanentError: one exists with another number of partitions.
    """
    for spec in wanted:
        found = existing.get(spec.name, spec.partitions)
        if found != spec.partitions:
            raise PermanentError(
                f"topic {spec.name} has {found} partitions, not {spec.partitions}: the number never changes after creation",
            )
    return [spec for spec in wanted if spec.name not in existing]
