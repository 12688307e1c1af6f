"""What operators see of an event: everything but what the catalogue marks as personal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import MASK, masked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join), max_size=3)


@pytest.mark.parametrize(
    ("data", "path", "shown"),
    [
        ({"name": "张", "n": 1}, "name", {"name": MASK, "n": 1}),
        (
            {"file": {"applicant": {"name": "张"}, "n": 1}},
            "file.applicant",
            {"file": {"applicant": MASK, "n": 1}},
        ),
        ({"of": [{"name": "张", "n": 1}, {"n": 2}]}, "of.name", {"of": [{"name": MASK, "n": 1}, {"n": 2}]}),
        ({"name": None}, "name", {"name": None}),
        ({"n": 1}, "name", {"n": 1}),
    ],
)
def test_the_marked_fields_are_masked_and_no_others(data: Any, path: str, shown: Any) -> None:
    assert masked(data, [path]) == shown


def reached(data: Any, path: list[str]) -> list[Any]:
    if isinstance(data, list):
        return [found for element in data for found in reached(element, path)]
    if not path:
        return [data]
    return reached(data[path[0]], path[1:]) if isinstance(data, dict) and path[0] in data else []


@given(JSON, PATHS)
def test_nothing_is_left_at_a_marked_path(data: Any, paths: list[str]) -> None:
    shown = masked(data, paths)
    for path in paths:
        assert set(map(str, reached(shown, path.split(".")))) <= {MASK, "None"}
    assert masked(data, []) == data
